// A client: fetch.mjs URL. Node's fetch (undici), and the eventsource package if it is installed.
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';

const base = process.argv[2];
const hop = new Set(['connection', 'keep-alive', 'transfer-encoding', 'date', 'via', 'server']);

async function show(what, path, options) {
  const response = await fetch(base + path, { redirect: 'manual', ...options });
  const data = Buffer.from(await response.arrayBuffer());
  const fields = [...response.headers].filter(([name]) => !hop.has(name)).sort();
  const digest = createHash('sha256').update(data).digest('hex').slice(0, 16);
  console.log(what, response.status, JSON.stringify(fields), data.length, digest);
}

async function* pieces() {
  for (let n = 0; n < 50; n++) yield Buffer.from(`piece ${n} `.repeat(100));
}

for (const path of ['/hello', '/moved', '/empty', '/bytes/1000000', '/chunks/200', '/nothing']) {
  await show('GET', path);
}
await show('HEAD', '/hello', { method: 'HEAD' });
await show('POST', '/digest', { method: 'POST', body: 'x'.repeat(300000) });
await show('PUT chunked', '/digest', { method: 'PUT', body: pieces(), duplex: 'half' });
await show('echo', '/echo', { method: 'POST', body: 'y'.repeat(300000) });
await Promise.all(Array.from({ length: 20 }, (_, n) => show('many', '/bytes/70000')));

let EventSource;
try {
  ({ EventSource } = createRequire(process.cwd() + '/')('eventsource'));
} catch {
  console.log('no eventsource: npm install eventsource');
  process.exit(0);
}
const seen = [];
await new Promise((resolve) => {
  const source = new EventSource(base + '/events/4');
  const give = setTimeout(resolve, 20000);
  source.onmessage = (event) => {
    seen.push(`${event.lastEventId}: ${event.data}`);
    if (seen.length === 8) { clearTimeout(give); source.close(); resolve(); }
  };
});
console.log('eventsource, over a reconnection', seen.join(', '));
process.exit(0);
