<?php // PHP's built-in server: php -S 127.0.0.1:PORT index.php
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/cached') {
    header('ETag: "one"');
    header('Content-Type: text/plain');
    if (($_SERVER['HTTP_IF_NONE_MATCH'] ?? '') === '"one"') {
        http_response_code(304);
        exit;
    }
    exit("cached\n");
}
if ($path === '/echo') {
    header('Content-Type: application/octet-stream');
    exit(file_get_contents('php://input'));
}
$paragraphs = explode("\n\n", file_get_contents(__DIR__ . '/streams.txt'));
foreach (array_slice($paragraphs, 1) as $paragraph) {
    $lines = explode("\n", rtrim($paragraph, "\n"));
    $first = explode('|', $lines[0]);
    if ($path === "/stream/$first[0]") {
        header("Content-Type: $first[1]");
        if (isset($first[2])) {
            header("Content-Encoding: $first[2]");
        }
        ob_implicit_flush();
        flush();
        foreach (array_slice($lines, 1) as $line) {
            echo rawurldecode($line);
            flush();
            usleep(5000);
        }
        exit;
    }
}
http_response_code(404);
