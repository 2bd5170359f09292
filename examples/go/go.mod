module example.com/asset-example

go 1.26.0

// Only in a checkout of the service. Remove this line elsewhere.
replace github.com/asset-service/asset-service/gen/go => ../../gen/go

require (
	connectrpc.com/connect v1.21.1
	github.com/asset-service/asset-service/gen/go v0.1.0
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1
	google.golang.org/grpc v1.85.0
)

require (
	buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go v1.36.12-20260825204119-511051f7f437.2 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
