# A Rack application for puma. Its streams and responses are used for webrick, too.
STREAMS = File.binread(File.join(__dir__, 'streams.txt')).split("\n\n").drop(1).to_h do |paragraph|
  first, *pieces = paragraph.split("\n")
  name, type, coding = first.split('|')
  fields = { 'content-type' => type }
  fields['content-encoding'] = coding if coding
  pieces = pieces.map { |piece| piece.gsub(/%(..)/n) { $1.hex.chr }.b }
  [name, [fields, pieces]]
end

class Paced
  def initialize(pieces) = @pieces = pieces

  def each
    @pieces.each do |piece|
      yield piece
      sleep 0.005
    end
  end
end

APP = lambda do |env|
  sent = env['rack.input'] ? env['rack.input'].read : ''
  case env['PATH_INFO']
  when '/cached'
    fields = { 'etag' => '"one"' }
    return [304, fields, []] if env['HTTP_IF_NONE_MATCH'] == '"one"'

    body = env['REQUEST_METHOD'] == 'HEAD' ? [] : ["cached\n"]
    [200, fields.merge('content-type' => 'text/plain', 'content-length' => '7'), body]
  when '/echo'
    [200, { 'content-type' => 'text/plain', 'content-length' => sent.bytesize.to_s }, [sent]]
  else
    fields, pieces = STREAMS.fetch(env['PATH_INFO'].delete_prefix('/stream/'))
    [200, fields.dup, Paced.new(pieces)]
  end
end
