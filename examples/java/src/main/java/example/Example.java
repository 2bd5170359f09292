package example;

import asset.v1.AssetServiceGrpc;
import asset.v1.Checksums;
import asset.v1.ChecksummedData;
import asset.v1.DownloadFileRequest;
import asset.v1.DownloadFileResponse;
import asset.v1.File;
import asset.v1.FileFilter;
import asset.v1.GetFileRequest;
import asset.v1.ListFilesRequest;
import asset.v1.ListFilesResponse;
import asset.v1.UploadRequest;
import asset.v1.UploadResponse;
import asset.v1.UploadSpec;
import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.ErrorInfo;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import io.grpc.stub.MetadataUtils;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Iterator;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.zip.CRC32C;

/**
 * Uploads a file with checksums, downloads it and lists the files of its owner. ASSET_SERVICE_ADDRESS is host and port of the
 * service, 127.0.0.1:8080 where unset; ASSET_SERVICE_TOKEN the access token, if it asks for one.
 */
public final class Example {
  private static final int CHUNK_BYTES = 1 << 20;
  private static final String OWNER = "ann";

  private Example() {}

  /** Sends the messages of one Upload call, each when the call can take it, so that memory holds no more than a few chunks. */
  private static final class Upload implements ClientResponseObserver<UploadRequest, UploadResponse> {
    final CompletableFuture<File> file = new CompletableFuture<>();
    private final InputStream source;
    private final UploadSpec spec;
    private final MessageDigest sha256 = sha256();
    private final CRC32C whole = new CRC32C();
    private ClientCallStreamObserver<UploadRequest> call;
    private long offset;
    private boolean begun;
    private boolean ended;

    Upload(InputStream source, UploadSpec spec) {
      this.source = source;
      this.spec = spec;
    }

    @Override
    public void beforeStart(ClientCallStreamObserver<UploadRequest> stream) {
      call = stream;
      stream.setOnReadyHandler(this::send);
    }

    private void send() {
      try {
        while (call.isReady() && !ended) {
          call.onNext(next());
          if (ended) call.onCompleted();
        }
      } catch (IOException error) {
        ended = true;
        call.cancel("the source cannot be read", error);
      }
    }

    /** The description first, then the bytes in chunks, in the last message the checksums of the whole. */
    private UploadRequest next() throws IOException {
      UploadRequest.Builder request = UploadRequest.newBuilder().setWriteOffset(offset);
      if (!begun) {
        begun = true;
        return request.setUploadSpec(spec).build();
      }
      byte[] chunk = source.readNBytes(CHUNK_BYTES);
      if (chunk.length == 0) {
        ended = true;
        Checksums.Builder checksums = Checksums.newBuilder();
        checksums.setSha256(ByteString.copyFrom(sha256.digest())).setCrc32C((int) whole.getValue());
        return request.setChecksums(checksums).setFinishWrite(true).build();
      }
      sha256.update(chunk);
      whole.update(chunk);
      offset += chunk.length;
      ByteString content = ByteString.copyFrom(chunk);
      return request.setData(ChecksummedData.newBuilder().setContent(content).setCrc32C(crc32c(chunk))).build();
    }

    @Override
    public void onNext(UploadResponse response) {
      file.complete(response.getFile());
    }

    @Override
    public void onError(Throwable error) {
      ended = true;
      file.completeExceptionally(error);
    }

    @Override
    public void onCompleted() {
      file.completeExceptionally(new IllegalStateException("the service answered without a file"));
    }
  }

  /** With the same request id the same bytes give the same file, so a call whose answer was lost can be made again. */
  private static File upload(AssetServiceGrpc.AssetServiceStub service, Path path, String requestId) throws Exception {
    File description =
        File.newBuilder().setName(path.getFileName().toString()).setOwner(OWNER).setUsage("dataset").build();
    UploadSpec spec =
        UploadSpec.newBuilder()
            .setFile(description)
            .setSizeBytes(Files.size(path))
            .setRequestId(requestId)
            .build();
    try (InputStream source = Files.newInputStream(path)) {
      Upload upload = new Upload(source, spec);
      service.upload(upload);
      return upload.file.get(10, TimeUnit.MINUTES);
    }
  }

  /** Writes a file to a path and checks each piece and the whole. */
  private static long download(AssetServiceGrpc.AssetServiceBlockingStub service, String id, Path path)
      throws IOException {
    MessageDigest sha256 = sha256();
    ByteString expected = ByteString.EMPTY;
    try (OutputStream target = Files.newOutputStream(path)) {
      Iterator<DownloadFileResponse> messages =
          service.downloadFile(DownloadFileRequest.newBuilder().setFileId(id).build());
      while (messages.hasNext()) {
        DownloadFileResponse message = messages.next();
        if (message.hasFile()) expected = message.getFile().getChecksums().getSha256();
        byte[] content = message.getData().getContent().toByteArray();
        if (message.getData().hasCrc32C() && message.getData().getCrc32C() != crc32c(content)) {
          throw new IOException("a piece of the download does not have its checksum");
        }
        sha256.update(content);
        target.write(content);
      }
    }
    if (!ByteString.copyFrom(sha256.digest()).equals(expected)) {
      throw new IOException("the download does not have its SHA-256");
    }
    return Files.size(path);
  }

  /** Prints the files of the owner, page by page. */
  private static void list(AssetServiceGrpc.AssetServiceBlockingStub service) {
    ListFilesRequest.Builder request =
        ListFilesRequest.newBuilder().setFilter(FileFilter.newBuilder().setOwner(OWNER)).setPageSize(100);
    do {
      ListFilesResponse page = service.listFiles(request.build());
      for (File file : page.getFilesList()) System.out.println("listed " + file.getId() + " " + file.getName());
      request.setPageToken(page.getNextPageToken());
    } while (!request.getPageToken().isEmpty());
  }

  /** The reason of the contract, such as FILE_NOT_FOUND; empty where the error has none. */
  private static String reasonOf(StatusRuntimeException error) throws InvalidProtocolBufferException {
    com.google.rpc.Status status = StatusProto.fromThrowable(error);
    if (status == null) return "";
    for (Any detail : status.getDetailsList()) {
      if (detail.is(ErrorInfo.class)) return detail.unpack(ErrorInfo.class).getReason().replace("ERROR_REASON_", "");
    }
    return "";
  }

  private static int crc32c(byte[] bytes) {
    CRC32C sum = new CRC32C();
    sum.update(bytes);
    return (int) sum.getValue();
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException error) {
      throw new IllegalStateException(error);
    }
  }

  private static String environment(String name, String otherwise) {
    String value = System.getenv(name);
    return value == null || value.isEmpty() ? otherwise : value;
  }

  public static void main(String[] arguments) throws Exception {
    if (arguments.length != 2) throw new IllegalArgumentException("give FILE and COPY");
    ManagedChannel channel =
        Grpc.newChannelBuilder(
                environment("ASSET_SERVICE_ADDRESS", "127.0.0.1:8080"), InsecureChannelCredentials.create())
            .build();
    try {
      Metadata headers = new Metadata();
      String token = environment("ASSET_SERVICE_TOKEN", "");
      if (!token.isEmpty()) {
        headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + token);
      }
      var sendToken = MetadataUtils.newAttachHeadersInterceptor(headers);
      var service = AssetServiceGrpc.newBlockingStub(channel).withInterceptors(sendToken);
      var streaming = AssetServiceGrpc.newStub(channel).withInterceptors(sendToken);

      File file = upload(streaming, Path.of(arguments[0]), UUID.randomUUID().toString());
      System.out.println("uploaded " + file.getId());
      System.out.println("downloaded " + download(service, file.getId(), Path.of(arguments[1])) + " bytes");
      list(service);
      try {
        service.getFile(GetFileRequest.newBuilder().setFileId("0").build());
      } catch (StatusRuntimeException error) {
        System.out.println("refused " + error.getStatus().getCode() + " " + reasonOf(error));
      }
    } finally {
      channel.shutdown().awaitTermination(5, TimeUnit.SECONDS);
    }
  }
}
