// Go's net/http: streams flushed after each piece, conditional requests as for a file, an echo.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	streams := map[string][]string{}
	for _, paragraph := range strings.Split(string(text), "\n\n")[1:] {
		lines := strings.Split(strings.TrimSuffix(paragraph, "\n"), "\n")
		streams[strings.Split(lines[0], "|")[0]] = lines
	}
	http.HandleFunc("/stream/", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		lines := streams[strings.TrimPrefix(r.URL.Path, "/stream/")]
		stream(w, lines, "")
	})
	http.HandleFunc("/more/trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		stream(w, streams["plain"], "1")
	})
	http.HandleFunc("/more/cut", func(w http.ResponseWriter, r *http.Request) {
		stream(w, streams["plain"], "")
		panic(http.ErrAbortHandler)
	})
	http.HandleFunc("/cached", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"one"`)
		http.ServeContent(w, r, "cached.txt", time.Time{}, strings.NewReader("cached\n"))
	})
	http.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		w.Write(sent)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	http.Serve(listener, nil)
}

func stream(w http.ResponseWriter, lines []string, sum string) {
	first := strings.Split(lines[0], "|")
	w.Header().Set("Content-Type", first[1])
	if len(first) > 2 {
		w.Header().Set("Content-Encoding", first[2])
	}
	flusher := w.(http.Flusher)
	flusher.Flush()
	for _, line := range lines[1:] {
		piece, _ := url.PathUnescape(line)
		io.WriteString(w, piece)
		flusher.Flush()
		time.Sleep(5 * time.Millisecond)
	}
	if sum != "" {
		w.Header().Set("X-Sum", sum)
	}
}
