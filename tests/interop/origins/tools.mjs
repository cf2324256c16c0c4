// An MCP server with the JavaScript SDK: Streamable HTTP at /mcp, with sessions, and the older
// transport at /sse, which respects X-Forwarded-Prefix; like tools.py.
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const find = createRequire(process.cwd() + '/');
const load = (module) => import(pathToFileURL(find.resolve(module)));
const { McpServer } = await load('@modelcontextprotocol/sdk/server/mcp.js');
const { StreamableHTTPServerTransport: Transport } =
  await load('@modelcontextprotocol/sdk/server/streamableHttp.js');
const { SSEServerTransport } = await load('@modelcontextprotocol/sdk/server/sse.js');
const { z } = await load('zod');
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const text = (said) => ({ content: [{ type: 'text', text: said }] });

function tools() {
  const server = new McpServer({ name: 'tools', version: '1' });
  server.registerTool('count', { inputSchema: { to: z.number() } }, async ({ to }, extra) => {
    const progressToken = extra._meta?.progressToken;
    for (let n = 1; n <= to; n++) {
      if (progressToken !== undefined) {
        const params = { progressToken, progress: n, total: to, message: `step ${n}` };
        await extra.sendNotification({ method: 'notifications/progress', params });
      }
      await pause(50);
    }
    return text(`counted to ${to}`);
  });
  server.registerTool('large', { inputSchema: { size: z.number() } },
    async ({ size }) => text('x'.repeat(size)));
  return server;
}

const sessions = new Map();
const server = http.createServer(async (q, r) => {
  const url = new URL(q.url, 'http://a');
  if (url.pathname === '/sse') {
    const older = new SSEServerTransport((q.headers['x-forwarded-prefix'] ?? '') + '/messages', r);
    sessions.set(older.sessionId, older);
    r.on('close', () => sessions.delete(older.sessionId));
    return tools().connect(older);
  }
  if (url.pathname === '/messages') {
    const older = sessions.get(url.searchParams.get('sessionId'));
    return older ? older.handlePostMessage(q, r) : r.writeHead(404).end('no such session');
  }
  let transport = sessions.get(q.headers['mcp-session-id']);
  if (!transport) {
    transport = new Transport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => sessions.set(id, transport),
    });
    await tools().connect(transport);
  }
  await transport.handleRequest(q, r);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
