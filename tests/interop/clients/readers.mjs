// A client: readers.mjs eventsource|eventsource-parser URL. Prints the events that a library reads.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [name, base] = process.argv.slice(2);
const find = createRequire(process.cwd() + '/');
const load = (module) => import(pathToFileURL(find.resolve(module)));
const text = readFileSync(new URL('../servers/streams.txt', import.meta.url), 'utf8');
const streams = text.split('\n\n').slice(1).map((paragraph) => paragraph.split('\n')[0].split('|'))
  .filter(([, type, coding]) => type.startsWith('text/event-stream') && !coding);

const readers = {
  async eventsource(url) {
    const { EventSource } = await load('eventsource');
    const seen = [];
    return new Promise((resolve) => {
      const source = new EventSource(url);
      const see = ({ type, lastEventId, data }) => seen.push([type, lastEventId, data]);
      source.onmessage = see;
      source.addEventListener('add', see);
      source.onerror = () => { source.close(); resolve(seen); };
    });
  },
  async 'eventsource-parser'(url) {
    const { EventSourceParserStream } = await load('eventsource-parser/stream');
    const { body } = await fetch(url);
    const seen = [];
    const events = body.pipeThrough(new TextDecoderStream())
      .pipeThrough(new EventSourceParserStream());
    for await (const event of events) seen.push(event);
    return seen;
  },
};
for (const [stream] of streams) {
  console.log(stream, JSON.stringify(await readers[name](`${base}/stream/${stream}`)));
}
