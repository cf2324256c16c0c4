# WEBrick: ruby webrick.rb
require 'stringio'
require 'webrick'
require_relative 'app'

class Rack < WEBrick::HTTPServlet::AbstractServlet
  def service(request, response)
    env = { 'PATH_INFO' => request.path, 'REQUEST_METHOD' => request.request_method,
            'HTTP_IF_NONE_MATCH' => request['If-None-Match'],
            'rack.input' => request.body && StringIO.new(request.body) }
    response.status, fields, pieces = APP.call(env)
    fields.each { |name, value| response[name] = value }
    return response.body = pieces.join unless pieces.is_a?(Paced)

    response.chunked = true
    response.body = proc { |out| pieces.each { |piece| out.write(piece) } }
  end
end

log = WEBrick::Log.new(File::NULL)
server = WEBrick::HTTPServer.new(Port: 0, BindAddress: '127.0.0.1', Logger: log, AccessLog: [],
                                 StartCallback: -> { puts server.config[:Port]; $stdout.flush })
server.mount('/', Rack)
trap('TERM') { server.shutdown }
server.start
