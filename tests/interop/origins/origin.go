// An origin with Go's net/http: origin [CERTIFICATE KEY]. With these it uses TLS, and requires the
// same certificate of its clients.
package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

func number(r *http.Request) int {
	n, _ := strconv.Atoi(r.URL.Path[len("/bytes/"):])
	return n
}

func least(a, b int) int {
	if a < b {
		return a
	}
	return b
}

func flush(w http.ResponseWriter) { w.(http.Flusher).Flush() }

func secured(listener net.Listener, certificate, key string) net.Listener {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		panic(err)
	}
	trusted := x509.NewCertPool()
	text, _ := os.ReadFile(certificate)
	trusted.AppendCertsFromPEM(text)
	return tls.NewListener(listener, &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    trusted,
		NextProtos:   []string{"h2", "http/1.1"},
	})
}

func main() {
	block := make([]byte, 65536)
	for i := range block {
		block[i] = byte(i)
	}
	http.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello\n")
	})
	http.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/hello", 302)
	})
	http.HandleFunc("/empty", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })
	http.HandleFunc("/bytes/", func(w http.ResponseWriter, r *http.Request) {
		count := number(r)
		w.Header().Set("Content-Length", strconv.Itoa(count))
		for at := 0; at < count; at += len(block) {
			if _, err := w.Write(block[:least(len(block), count-at)]); err != nil {
				return
			}
		}
	})
	http.HandleFunc("/chunks/", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Path[len("/chunks/"):])
		for i := 0; i < n; i++ {
			fmt.Fprintf(w, "chunk %d\n", i)
			flush(w)
		}
	})
	http.HandleFunc("/events/", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Path[len("/events/"):])
		first := 0
		if last, err := strconv.Atoi(r.Header.Get("Last-Event-ID")); err == nil {
			first = last + 1
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for i := first; i < first+n && r.Context().Err() == nil; i++ {
			fmt.Fprintf(w, "id: %d\ndata: event %d\n\n", i, i)
			flush(w)
			time.Sleep(50 * time.Millisecond)
		}
	})
	http.HandleFunc("/digest", func(w http.ResponseWriter, r *http.Request) {
		hash := sha256.New()
		io.Copy(hash, r.Body)
		fmt.Fprintf(w, "%x", hash.Sum(nil))
	})
	http.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		flush(w)
		buffer := make([]byte, 65536)
		for {
			n, err := r.Body.Read(buffer)
			w.Write(buffer[:n])
			flush(w)
			if err != nil {
				return
			}
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	if len(os.Args) > 2 {
		listener = secured(listener, os.Args[1], os.Args[2])
	}
	http.Serve(listener, nil)
}
