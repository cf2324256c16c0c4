// A client: ws.mjs URL. The ws package for WebSockets: echoes, large messages, and closing from
// both sides.
import { createRequire } from 'node:module';

const { WebSocket } = createRequire(process.cwd() + '/')('ws');
const url = process.argv[2].replace('http', 'ws') + '/socket?x=1';
const once = (socket, name) =>
  new Promise((resolve) => socket.once(name, (...all) => resolve(all)));

const socket = new WebSocket(url);
await once(socket, 'open');
for (const size of [0, 1, 125, 126, 65535, 65536, 5_000_000]) {
  const sent = Buffer.alloc(size, size & 255);
  socket.send(sent);
  const [back, binary] = await once(socket, 'message');
  console.log('echo', size, binary, sent.equals(back));
}
socket.send('wörds');
console.log(String((await once(socket, 'message'))[0]));
socket.ping('are you there');
console.log('pong', String((await once(socket, 'pong'))[0]));
const got = [];
socket.on('message', (data) => got.push(String(data)));
for (let n = 0; n < 500; n++) socket.send(`m${n}`);
while (got.length < 500) await once(socket, 'message');
console.log('in order', got.every((text, n) => text === `m${n}`));
socket.close(4000, 'bye');
const [code, why] = await once(socket, 'close');
console.log('closed by us', code, String(why));

const other = new WebSocket(url);
await once(other, 'open');
other.send('close me');
const [theirs, reason] = await once(other, 'close');
console.log('closed by them', theirs, String(reason));

const rude = new WebSocket(url);
await once(rude, 'open');
rude.terminate();
console.log('terminated');
