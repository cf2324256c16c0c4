// A client: sdk.mjs NAME URL. Prints the events that a JavaScript library reads.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [name, base] = process.argv.slice(2);
const find = createRequire(process.cwd() + '/');
const load = (module) => import(pathToFileURL(find.resolve(module)));

class Told {
  constructor(what) { this.what = what; this.seen = []; this.times = []; }
  add(text) { this.seen.push(text); this.times.push(performance.now()); }
  say(...more) {
    const spread = (this.times.at(-1) ?? 0) - (this.times[0] ?? 0);
    const how = spread > 150 ? 'as they come' : 'at once';
    console.log(this.what, JSON.stringify(this.seen), how, ...more);
  }
}

async function mcp(transport) {
  const { Client } = await load('@modelcontextprotocol/sdk/client/index.js');
  const client = new Client({ name: 'client', version: '1' });
  await client.connect(transport);
  console.log((await client.listTools()).tools.map((tool) => tool.name));
  for (let n = 0; n < 2; n++) {
    const told = new Told('progress');
    const result = await client.callTool({ name: 'count', arguments: { to: 8 } }, undefined,
      { onprogress: ({ progress, total, message }) => told.add([progress, total, message]) });
    told.say(result.content[0].text);
  }
  const large = (size) => client.callTool({ name: 'large', arguments: { size } });
  const many = [0, 1000, 300000].map(large);
  for (const result of await Promise.all(many)) console.log('large', result.content[0].text.length);
  await client.close();
}

const clients = {
  // The bytes themselves, read as pages do it.
  async reader() {
    const told = new Told('reader');
    const answer = await fetch(base + '/events/6', { headers: { 'last-event-id': '41' } });
    const lines = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (let step; !(step = await lines.read()).done;) {
      text += step.value;
      for (let end; (end = text.indexOf('\n')) >= 0; text = text.slice(end + 1)) {
        if (text.startsWith('data')) told.add(text.slice(0, end));
      }
    }
    told.say();
  },
  'quiet eventsource': () => clients.eventsource('/quiet/3', 3),
  async eventsource(path = '/events/6', count = 6) {
    const { EventSource } = await load('eventsource');
    const told = new Told('eventsource');
    await new Promise((resolve) => {
      const source = new EventSource(base + path);
      source.onmessage = (event) => {
        told.add([event.lastEventId, event.data]);
        if (told.seen.length === count) { source.close(); resolve(); }
      };
    });
    told.say();
  },
  'early openai': () => clients.openai(['early']),
  'early anthropic': () => clients.anthropic(['early']),
  async openai(models = ['whole', 'cut', 'none']) {
    const { default: OpenAI } = await load('openai');
    const client = new OpenAI({ baseURL: base + '/v1', apiKey: 'key', maxRetries: 0 });
    for (const model of models) {
      const told = new Told(model);
      try {
        const messages = [{ role: 'user', content: 'hello' }];
        const stream = await client.chat.completions.create({ model, messages, stream: true });
        for await (const { choices: [choice] } of stream) {
          told.add(choice.delta.content ?? choice.finish_reason);
        }
      } catch (error) {
        console.log(error.constructor.name, error.status);
      }
      told.say();
    }
  },
  async anthropic(models = ['whole', 'cut', 'none']) {
    const { default: Anthropic } = await load('@anthropic-ai/sdk');
    const client = new Anthropic({ baseURL: base, apiKey: 'key', maxRetries: 0 });
    for (const model of models) {
      const told = new Told(model);
      try {
        const messages = [{ role: 'user', content: 'hello' }];
        const stream = client.messages.stream({ model, max_tokens: 99, messages });
        stream.on('text', (text) => told.add(text));
        console.log((await stream.finalMessage()).stop_reason);
      } catch (error) {
        console.log(error.constructor.name, error.status);
      }
      told.say();
    }
  },
  async 'early mcp http'() {
    const { Client } = await load('@modelcontextprotocol/sdk/client/index.js');
    const { StreamableHTTPClientTransport: Transport } =
      await load('@modelcontextprotocol/sdk/client/streamableHttp.js');
    const client = new Client({ name: 'client', version: '1' });
    await client.connect(new Transport(new URL(base + '/mcp')));
    const told = new Told('early');
    try {
      const options = { timeout: 5000,
        onprogress: ({ progress, total, message }) => told.add([progress, total, message]) };
      const result = await client.callTool({ name: 'early', arguments: {} }, undefined, options);
      console.log(JSON.stringify(result));
    } catch (error) {
      console.log(error.constructor.name, error.code, error.message);
    }
    told.say();
  },
  async 'mcp sse'() {
    const { SSEClientTransport } = await load('@modelcontextprotocol/sdk/client/sse.js');
    await mcp(new SSEClientTransport(new URL(base + '/sse')));
  },
  async 'mcp http'() {
    const { StreamableHTTPClientTransport: Transport } =
      await load('@modelcontextprotocol/sdk/client/streamableHttp.js');
    await mcp(new Transport(new URL(base + '/mcp')));
  },
};
await clients[name]();
process.exit(0);
