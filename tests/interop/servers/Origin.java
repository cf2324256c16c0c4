// The JDK's HttpServer: java Origin.java streams.txt.
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Executors;

public class Origin {
    static final Map<String, String[]> STREAMS = new HashMap<>();

    public static void main(String[] args) throws IOException {
        String[] paragraphs = Files.readString(Path.of(args[0])).split("\n\n");
        for (int n = 1; n < paragraphs.length; n++) {
            String[] lines = paragraphs[n].split("\n");
            STREAMS.put(lines[0].split("\\|")[0], lines);
        }
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 100);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/stream/", Origin::stream);
        server.createContext("/cached", Origin::cached);
        server.createContext("/echo", exchange -> {
            byte[] sent = exchange.getRequestBody().readAllBytes();
            exchange.sendResponseHeaders(200, sent.length);
            exchange.getResponseBody().write(sent);
            exchange.close();
        });
        server.start();
        System.out.println(server.getAddress().getPort());
    }

    static void stream(HttpExchange exchange) throws IOException {
        exchange.getRequestBody().readAllBytes();
        String[] lines = STREAMS.get(exchange.getRequestURI().getPath().substring(8));
        String[] first = lines[0].split("\\|");
        exchange.getResponseHeaders().set("Content-Type", first[1]);
        if (first.length > 2) {
            exchange.getResponseHeaders().set("Content-Encoding", first[2]);
        }
        exchange.sendResponseHeaders(200, 0);
        for (int n = 1; n < lines.length; n++) {
            String piece = URLDecoder.decode(lines[n], StandardCharsets.ISO_8859_1);
            exchange.getResponseBody().write(piece.getBytes(StandardCharsets.ISO_8859_1));
            exchange.getResponseBody().flush();
            try {
                Thread.sleep(5);
            } catch (InterruptedException end) {
                break;
            }
        }
        exchange.close();
    }

    static void cached(HttpExchange exchange) throws IOException {
        exchange.getResponseHeaders().set("ETag", "\"one\"");
        if ("\"one\"".equals(exchange.getRequestHeaders().getFirst("If-None-Match"))) {
            exchange.sendResponseHeaders(304, -1);
        } else if (exchange.getRequestMethod().equals("HEAD")) {
            exchange.getResponseHeaders().set("Content-Length", "7");
            exchange.sendResponseHeaders(200, -1);
        } else {
            exchange.sendResponseHeaders(200, 7);
            exchange.getResponseBody().write("cached\n".getBytes());
        }
        exchange.close();
    }
}
