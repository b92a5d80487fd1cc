// A chisel server for reverse tunnels, on the libraries that the real one is built from: Go's SSH and gorilla's
// websocket. Its first line of output says where it is, as JSON; then comes a line for each password that it is sent.
// Its one user may open the port that it was told last on its standard input, at whose end it ends.
//
//	CHISEL_KEY=<host key, PEM> chisel-server <port> <user> <password>
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/crypto/ssh"
)

const protocol = "chisel-v3"

type remote struct {
	LocalHost, LocalPort, RemoteHost, RemotePort string
	Reverse                                      bool
}

type config struct{ Remotes []remote }

var allowedPort atomic.Value

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: chisel-server <port> <user> <password>")
	}
	port, user, secret := os.Args[1], os.Args[2], os.Args[3]
	signer, err := ssh.ParsePrivateKey([]byte(os.Getenv("CHISEL_KEY")))
	if err != nil {
		log.Fatal(err)
	}
	settings := &ssh.ServerConfig{
		ServerVersion: "SSH-" + protocol + "-server",
		PasswordCallback: func(meta ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			fmt.Println("login")
			if meta.User() != user || string(password) != secret {
				return nil, errors.New("invalid authentication")
			}
			return nil, nil
		},
	}
	settings.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	sum := sha256.Sum256(signer.PublicKey().Marshal())
	fmt.Printf("{\"port\":%d,\"fingerprint\":%q}\n",
		listener.Addr().(*net.TCPAddr).Port, base64.StdEncoding.EncodeToString(sum[:]))
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			allowedPort.Store(lines.Text())
		}
		os.Exit(0)
	}()
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Sec-WebSocket-Protocol") != protocol {
			http.Error(w, "Not found", http.StatusNotFound)
			return
		}
		socket, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		serve(&stream{Conn: socket}, settings)
	})))
}

func serve(conn net.Conn, settings *ssh.ServerConfig) {
	defer conn.Close()
	session, channels, requests, err := ssh.NewServerConn(conn, settings)
	if err != nil {
		log.Print(err)
		return
	}
	defer session.Close()
	go func() {
		for channel := range channels {
			channel.Reject(ssh.Prohibited, "a client opens none")
		}
	}()
	first := true
	for request := range requests {
		switch {
		case first && request.Type == "config":
			listener, target, err := configure(request.Payload)
			if err != nil {
				request.Reply(false, []byte(err.Error()))
				break
			}
			defer listener.Close()
			request.Reply(true, nil)
			go accept(listener, session, target)
		case request.Type == "ping":
			request.Reply(true, []byte("pong"))
		default:
			request.Reply(false, nil)
		}
		first = false
	}
}

func configure(payload []byte) (net.Listener, string, error) {
	var wanted config
	if json.Unmarshal(payload, &wanted) != nil || len(wanted.Remotes) != 1 {
		return nil, "", errors.New("server: invalid config")
	}
	it := wanted.Remotes[0]
	if allowed, _ := allowedPort.Load().(string); !it.Reverse || it.LocalHost != "0.0.0.0" || it.LocalPort != allowed {
		return nil, "", fmt.Errorf("server: access to 'R:%s:%s' denied", it.LocalHost, it.LocalPort)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+it.LocalPort)
	if err != nil {
		return nil, "", fmt.Errorf("server: Server cannot listen on R:%s=>%s", it.LocalPort, it.RemotePort)
	}
	return listener, it.RemoteHost + ":" + it.RemotePort, nil
}

func accept(listener net.Listener, session ssh.Conn, target string) {
	for {
		socket, err := listener.Accept()
		if err != nil {
			return
		}
		go carry(socket, session, target)
	}
}

// The end of either direction ends both.
func carry(socket net.Conn, session ssh.Conn, target string) {
	channel, requests, err := session.OpenChannel("chisel", []byte(target))
	if err != nil {
		socket.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	var once sync.Once
	end := func() { once.Do(func() { socket.Close(); channel.Close() }) }
	go func() { io.Copy(socket, channel); end() }()
	io.Copy(channel, socket)
	end()
}

// A websocket as the stream of bytes in its messages.
type stream struct {
	*websocket.Conn
	message io.Reader
}

func (s *stream) Read(to []byte) (int, error) {
	for {
		if s.message == nil {
			_, message, err := s.NextReader()
			if err != nil {
				return 0, err
			}
			s.message = message
		}
		n, err := s.message.Read(to)
		if err == io.EOF {
			s.message = nil
			err = nil
			if n == 0 {
				continue
			}
		}
		return n, err
	}
}

func (s *stream) Write(bytes []byte) (int, error) {
	if err := s.WriteMessage(websocket.BinaryMessage, bytes); err != nil {
		return 0, err
	}
	return len(bytes), nil
}

func (s *stream) SetDeadline(at time.Time) error {
	if err := s.SetReadDeadline(at); err != nil {
		return err
	}
	return s.SetWriteDeadline(at)
}
