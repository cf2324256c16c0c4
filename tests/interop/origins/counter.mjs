// A source of numbers: counter.mjs PORT LIMIT. Each tenth of a second has its number, for all
// readers and after restarts. GET /open returns how many streams are open and the most that were;
// beyond LIMIT the response is a 503.
import http from "node:http";

const [port, limit] = process.argv.slice(2).map(Number);
const now = () => Math.floor(Date.now() / 100);
let open = 0, most = 0;

http.createServer((request, response) => {
  if (request.url === "/open") return response.end(`${open} ${most}`);
  if (open >= limit) return response.writeHead(503).end();
  most = Math.max(most, ++open);
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  let next = Number(request.headers["last-event-id"] ?? now()) + 1;
  const timer = setInterval(() => {
    for (; next <= now(); next++) response.write(`id: ${next}\ndata: ${next}\n\n`);
  }, 20);
  response.on("close", () => { clearInterval(timer); open--; });
}).listen(port, "127.0.0.1", () => console.log("listening"));
