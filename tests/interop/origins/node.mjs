// An origin with node:http, or with Express if the argument is `express` and it is installed.
import { createHash } from 'node:crypto';
import http from 'node:http';
import { createRequire } from 'node:module';

const block = Buffer.alloc(65536, Buffer.from(Array.from({ length: 256 }, (_, n) => n)));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const answers = {
  hello(q, r) {
    r.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': 6 });
    r.end('hello\n');
  },
  moved: (q, r) => r.writeHead(302, { Location: '/hello' }).end(),
  empty: (q, r) => r.writeHead(204).end(),
  async bytes(q, r, count) {
    r.writeHead(200, { 'Content-Length': count });
    for (let at = 0; at < count && !r.destroyed; at += block.length) {
      if (!r.write(block.subarray(0, count - at))) {
        await new Promise((resolve) => { r.once('drain', resolve); r.once('close', resolve); });
      }
    }
    r.end();
  },
  chunks(q, r, count) {
    r.writeHead(200, { 'Content-Type': 'text/plain' });
    for (let n = 0; n < count; n++) r.write(`chunk ${n}\n`);
    r.end();
  },
  async events(q, r, count) {
    const first = Number(q.headers['last-event-id'] ?? -1) + 1;
    r.writeHead(200, { 'Content-Type': 'text/event-stream' });
    for (let n = first; n < first + count && !r.destroyed; n++) {
      r.write(`id: ${n}\ndata: event ${n}\n\n`);
      await pause(50);
    }
    r.end();
  },
  async digest(q, r) {
    const hash = createHash('sha256');
    for await (const data of q) hash.update(data);
    r.end(hash.digest('hex'));
  },
  echo: (q, r) => { r.writeHead(200); r.flushHeaders(); q.pipe(r); },
};

async function answer(q, r) {
  const [, name, count] = q.url.split('/');
  await (answers[name] ?? ((q, r) => r.writeHead(404).end('no such thing\n')))(q, r, Number(count));
}

let handler = answer;
if (process.argv[2] === 'express') {
  const express = createRequire(process.cwd() + '/')('express');
  handler = express().use((q, r, next) => answer(q, r).catch(next));
}
const server = http.createServer(handler);
if (process.argv[2] === 'ws') {
  const { WebSocketServer } = createRequire(process.cwd() + '/')('ws');
  const sockets = new WebSocketServer({ server, maxPayload: 1 << 26 });
  sockets.on('connection', (socket) => socket.on('message', (data, binary) => {
    if (String(data.subarray(0, 8)) === 'close me') socket.close(4001, 'as asked');
    else socket.send(data, { binary });
  }));
}
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
