// Node's server: node.mjs http|express|fastify|more.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';

const how = process.argv[2];
const find = createRequire(process.cwd() + '/');
const pause = () => new Promise((resolve) => setTimeout(resolve, 5));
const etag = '"one"';
const streams = {};
const text = readFileSync(new URL('streams.txt', import.meta.url), 'utf8');
for (const paragraph of text.split('\n\n').slice(1)) {
  const [first, ...pieces] = paragraph.split('\n').filter(Boolean);
  const [name, type, coding] = first.split('|');
  const fields = { 'Content-Type': type, ...(coding && { 'Content-Encoding': coding }) };
  streams[name] = { fields, pieces: pieces.map((p) => Buffer.from(unescape(p), 'latin1')) };
}

async function stream(name, r) {
  const { fields, pieces } = streams[name];
  r.writeHead(200, fields);
  r.flushHeaders();
  for (const piece of pieces) {
    r.write(piece);
    await pause();
  }
  r.end();
}

async function body(q) {
  const all = [];
  for await (const piece of q) all.push(piece);
  return Buffer.concat(all);
}

// Other things that Node's server can send, without the frameworks.
const more = {
  async trailers(r) {
    r.writeHead(200, { 'Content-Type': 'text/event-stream', Trailer: 'X-Sum' });
    for (const piece of streams.plain.pieces) { r.write(piece); await pause(); }
    r.addTrailers({ 'X-Sum': '1' });
    r.end();
  },
  async hints(r) {
    await new Promise((resolve) => r.writeEarlyHints({ link: '</a.css>; rel=preload' }, resolve));
    await stream('plain', r);
  },
  processing(r) { r.writeProcessing(); return stream('plain', r); },
  async length(r) {
    const { fields, pieces } = streams.plain;
    r.writeHead(200, { ...fields, 'Content-Length': Buffer.concat(pieces).length });
    for (const piece of pieces) { r.write(piece); await pause(); }
    r.end();
  },
  raw(r) {
    r.useChunkedEncodingByDefault = false;
    r.setHeader('Connection', 'close');
    return stream('plain', r);
  },
  cut(r) {
    r.writeHead(200, streams.plain.fields);
    r.write(streams.plain.pieces[0], () => r.socket.end());
  },
};

async function answer(q, r) {
  const [, what, name] = q.url.split('/');
  if (what === 'cached') {
    const same = q.headers['if-none-match'] === etag;
    r.writeHead(same ? 304 : 200, { ETag: etag, ...(!same && { 'Content-Type': 'text/plain' }) });
    return r.end(same || q.method === 'HEAD' ? undefined : 'cached\n');
  }
  const sent = await body(q);
  if (what === 'echo') return r.end(sent);
  if (what === 'more') return more[name](r);
  return stream(name, r);
}

function listening(server) {
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
}

if (how === 'express') {
  const app = find('express')();
  app.get('/cached', (q, r) => { r.set('ETag', etag).type('text/plain').send('cached\n'); });
  app.use((q, r, next) => { answer(q, r).catch(next); });
  listening(http.createServer(app));
} else if (how === 'fastify') {
  const app = find('fastify')();
  const { Readable } = await import('node:stream');
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (q, sent, done) => done(null, sent));
  app.route({ method: ['GET', 'POST'], url: '/stream/:name', handler: (q, r) => {
    const { fields, pieces } = streams[q.params.name];
    async function* paced() { for (const piece of pieces) { yield piece; await pause(); } }
    return r.headers(fields).send(Readable.from(paced(), { objectMode: false }));
  } });
  app.get('/cached', (q, r) => {
    r.header('ETag', etag);
    return q.headers['if-none-match'] === etag ? r.code(304).send() : r.send('cached\n');
  });
  app.post('/echo', (q, r) => r.send(q.body));
  await app.listen({ port: 0, host: '127.0.0.1' });
  console.log(app.server.address().port);
} else {
  listening(http.createServer((q, r) => answer(q, r)));
}
