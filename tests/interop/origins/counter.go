// A source of numbers: counter PORT LIMIT. Each tenth of a second has its number, for all readers
// and after restarts. GET /open returns how many streams are open and the most that were; beyond
// LIMIT the response is a 503.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

var open, most atomic.Int64

func now() int64 { return time.Now().UnixMilli() / 100 }

func stream(w http.ResponseWriter, r *http.Request) {
	limit, _ := strconv.ParseInt(os.Args[2], 10, 64)
	defer open.Add(-1)
	if count := open.Add(1); count > limit {
		w.WriteHeader(503)
		return
	} else if count > most.Load() {
		most.Store(count)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	next := now() + 1
	if last, err := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64); err == nil {
		next = last + 1
	}
	w.(http.Flusher).Flush()
	for r.Context().Err() == nil {
		for ; next <= now(); next++ {
			fmt.Fprintf(w, "id: %d\ndata: %d\n\n", next, next)
		}
		w.(http.Flusher).Flush()
		time.Sleep(20 * time.Millisecond)
	}
}

func main() {
	http.HandleFunc("/open", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%d %d", open.Load(), most.Load())
	})
	http.HandleFunc("/", stream)
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		panic(err)
	}
	fmt.Println("listening")
	http.Serve(listener, nil)
}
