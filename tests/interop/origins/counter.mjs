// A source of numbers that many read: counter.mjs PORT LIMIT. Each tenth of a second has its number, whoever reads
// and whenever the process began. GET /open says how many streams there are and were; beyond LIMIT there is a 503.
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
