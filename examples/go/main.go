// Uploads a file with checksums, downloads it and lists the files of its owner:
//
//	go run . FILE COPY
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
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	assetv1 "github.com/asset-service/asset-service/gen/go/asset/v1"
)

const (
	chunkBytes = 1 << 20
	owner      = "ann"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// upload sends a file in one call: the description first, then the bytes in chunks, in the last message the checksums of the whole.
// With the same request id the same bytes give the same file, so a call whose answer was lost can be made again.
func upload(ctx context.Context, service assetv1.AssetServiceClient, path, requestID string) (*assetv1.File, error) {
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
	stream, err := service.Upload(ctx)
	if err != nil {
		return nil, err
	}
	spec := &assetv1.UploadSpec{
		File:      &assetv1.File{Name: filepath.Base(path), Owner: owner, Usage: "dataset"},
		SizeBytes: &size,
		RequestId: requestID,
	}
	// A call that the service has ended fails with io.EOF here; CloseAndRecv tells why.
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
	answer, err := stream.CloseAndRecv()
	if err != nil {
		return nil, err
	}
	return answer.GetFile(), nil
}

// download writes a file to a path and checks each piece and the whole.
func download(ctx context.Context, service assetv1.AssetServiceClient, id, path string) (int64, error) {
	stream, err := service.DownloadFile(ctx, &assetv1.DownloadFileRequest{FileId: id})
	if err != nil {
		return 0, err
	}
	target, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer target.Close()
	whole, expected, size := sha256.New(), []byte(nil), int64(0)
	for {
		message, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
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
	if !bytes.Equal(whole.Sum(nil), expected) {
		return 0, errors.New("the download does not have its SHA-256")
	}
	return size, target.Close()
}

// list prints the files of the owner, page by page.
func list(ctx context.Context, service assetv1.AssetServiceClient) error {
	request := &assetv1.ListFilesRequest{Filter: &assetv1.FileFilter{Owner: owner}, PageSize: 100}
	for {
		page, err := service.ListFiles(ctx, request)
		if err != nil {
			return err
		}
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
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return strings.TrimPrefix(info.GetReason(), "ERROR_REASON_")
		}
	}
	return ""
}

func run(source, target string) error {
	address := cmp.Or(os.Getenv("ASSET_SERVICE_ADDRESS"), "127.0.0.1:8080")
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	service := assetv1.NewAssetServiceClient(connection)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if token := os.Getenv("ASSET_SERVICE_TOKEN"); token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
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
	_, err = service.GetFile(ctx, &assetv1.GetFileRequest{FileId: "0"})
	fmt.Println("refused", status.Code(err), reasonOf(err))
	return nil
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: go run . FILE COPY")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}
