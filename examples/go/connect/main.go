// Does with connect-go what the program in the folder above does with grpc-go:
//
//	go run ./connect FILE COPY
//
// ASSET_SERVICE_ADDRESS is host and port of the service, 127.0.0.1:8080 where unset; ASSET_SERVICE_TOKEN the access token, if it
// asks for one.
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	assetv1 "github.com/asset-service/asset-service/gen/go/asset/v1"
	"github.com/asset-service/asset-service/gen/go/asset/v1/assetv1connect"
)

const (
	chunkBytes = 1 << 20
	owner      = "ann"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// upload sends a file in one call: the description first, then the bytes in chunks, in the last message the checksums of the whole.
// With the same request id the same bytes give the same file, so a call whose answer was lost can be made again.
func upload(ctx context.Context, service assetv1connect.AssetServiceClient, path, requestID string) (*assetv1.File, error) {
	source, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	stream := service.Upload(ctx)
	spec := &assetv1.UploadSpec{
		File:      &assetv1.File{Name: filepath.Base(path), Owner: owner, Usage: "dataset"},
		SizeBytes: &size,
		RequestId: requestID,
	}
	// A call that the service has ended fails with io.EOF here; CloseAndReceive tells why.
	err = stream.Send(&assetv1.UploadRequest{FirstMessage: &assetv1.UploadRequest_UploadSpec{UploadSpec: spec}})
	whole, sum, offset := sha256.New(), uint32(0), int64(0)
	buffer := make([]byte, chunkBytes)
	for err == nil {
		n, readErr := io.ReadFull(source, buffer)
		if readErr != nil && readErr != io.EOF && readErr != io.ErrUnexpectedEOF {
			return nil, readErr
		}
		if n == 0 {
			break
		}
		chunk := buffer[:n]
		whole.Write(chunk)
		sum = crc32.Update(sum, castagnoli, chunk)
		chunkSum := crc32.Checksum(chunk, castagnoli)
		data := &assetv1.ChecksummedData{Content: chunk, Crc32C: &chunkSum}
		err = stream.Send(&assetv1.UploadRequest{WriteOffset: offset, Data: data})
		offset += int64(n)
	}
	if err == nil {
		checksums := &assetv1.Checksums{Sha256: whole.Sum(nil), Crc32C: &sum}
		err = stream.Send(&assetv1.UploadRequest{WriteOffset: offset, Checksums: checksums, FinishWrite: true})
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	answer, err := stream.CloseAndReceive()
	if err != nil {
		return nil, err
	}
	return answer.Msg.GetFile(), nil
}

// download writes a file to a path and checks each piece and the whole.
func download(ctx context.Context, service assetv1connect.AssetServiceClient, id, path string) (int64, error) {
	stream, err := service.DownloadFile(ctx, connect.NewRequest(&assetv1.DownloadFileRequest{FileId: id}))
	if err != nil {
		return 0, err
	}
	defer stream.Close()
	target, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer target.Close()
	whole, expected, size := sha256.New(), []byte(nil), int64(0)
	for stream.Receive() {
		message := stream.Msg()
		if file := message.GetFile(); file != nil {
			expected = file.GetChecksums().GetSha256()
		}
		data := message.GetData()
		if data != nil && data.Crc32C != nil && crc32.Checksum(data.Content, castagnoli) != *data.Crc32C {
			return 0, errors.New("a piece of the download does not have its checksum")
		}
		whole.Write(data.GetContent())
		n, err := target.Write(data.GetContent())
		if err != nil {
			return 0, err
		}
		size += int64(n)
	}
	if err := stream.Err(); err != nil {
		return 0, err
	}
	if !bytes.Equal(whole.Sum(nil), expected) {
		return 0, errors.New("the download does not have its SHA-256")
	}
	return size, target.Close()
}

// list prints the files of the owner, page by page.
func list(ctx context.Context, service assetv1connect.AssetServiceClient) error {
	request := &assetv1.ListFilesRequest{Filter: &assetv1.FileFilter{Owner: owner}, PageSize: 100}
	for {
		answer, err := service.ListFiles(ctx, connect.NewRequest(request))
		if err != nil {
			return err
		}
		page := answer.Msg
		for _, file := range page.GetFiles() {
			fmt.Println("listed", file.GetId(), file.GetName())
		}
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			return nil
		}
	}
}

// reasonOf is the reason of the contract, such as FILE_NOT_FOUND; empty where the error has none.
func reasonOf(err error) string {
	var failure *connect.Error
	if !errors.As(err, &failure) {
		return ""
	}
	for _, detail := range failure.Details() {
		value, err := detail.Value()
		if err != nil {
			continue
		}
		if info, ok := value.(*errdetails.ErrorInfo); ok {
			return strings.TrimPrefix(info.GetReason(), "ERROR_REASON_")
		}
	}
	return ""
}

// withToken adds the access token to every request.
type withToken struct {
	token string
	next  http.RoundTripper
}

func (transport withToken) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+transport.token)
	return transport.next.RoundTrip(request)
}

// newClient speaks gRPC over HTTP/2 without TLS. Without WithGRPC it speaks the Connect protocol; the service answers both.
func newClient(address, token string) assetv1connect.AssetServiceClient {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	var transport http.RoundTripper = &http.Transport{Protocols: protocols}
	if token != "" {
		transport = withToken{token, transport}
	}
	return assetv1connect.NewAssetServiceClient(&http.Client{Transport: transport}, "http://"+address, connect.WithGRPC())
}

func run(source, target string) error {
	address := cmp.Or(os.Getenv("ASSET_SERVICE_ADDRESS"), "127.0.0.1:8080")
	service := newClient(address, os.Getenv("ASSET_SERVICE_TOKEN"))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	file, err := upload(ctx, service, source, rand.Text())
	if err != nil {
		return err
	}
	fmt.Println("uploaded", file.GetId())
	size, err := download(ctx, service, file.GetId(), target)
	if err != nil {
		return err
	}
	fmt.Println("downloaded", size, "bytes")
	if err := list(ctx, service); err != nil {
		return err
	}
	_, err = service.GetFile(ctx, connect.NewRequest(&assetv1.GetFileRequest{FileId: "0"}))
	fmt.Println("refused", strings.ToUpper(connect.CodeOf(err).String()), reasonOf(err))
	return nil
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: go run ./connect FILE COPY")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}
