// Serves TURN over UDP on loopback with pion/turn as it comes, for the benchmark: REST credentials,
// one listening socket, a range of relay ports. Built by bench/build-contenders.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/pion/turn/v5"
)

func main() {
	port := flag.Int("port", 3478, "to listen on")
	first := flag.Uint("min-port", 49152, "first relay port")
	last := flag.Uint("max-port", 65535, "last relay port")
	secret := flag.String("secret", "", "of the REST credentials")
	realm := flag.String("realm", "", "")
	version := flag.Bool("version", false, "print the version of pion/turn")
	flag.Parse()
	if *version {
		fmt.Println(pion())
		return
	}
	listener, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	server, err := turn.NewServer(turn.ServerConfig{
		Realm:       *realm,
		AuthHandler: turn.LongTermTURNRESTAuthHandler(*secret, nil),
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn: listener,
			RelayAddressGenerator: &turn.RelayAddressGeneratorPortRange{
				RelayAddress: net.IPv4(127, 0, 0, 1),
				Address:      "127.0.0.1",
				MinPort:      uint16(*first),
				MaxPort:      uint16(*last),
			},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
	_ = server.Close()
}

func pion() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/pion/turn/v5" {
			return module.Version
		}
	}
	return "?"
}
