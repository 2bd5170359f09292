/**
 * A server for connectrpc.com/conformance: reads from standard input how it is to serve, serves so on the service's own
 * port and its own gRPC, and writes to standard output where.
 *
 * Usage: node server.ts FILE, where FILE holds the descriptors of connectrpc.conformance.v1
 */
import { create, createFileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { readFileSync } from 'node:fs';
import { grpcHandler } from '../../../src/rpc/grpc/grpc-handler.ts';
import { listen } from '../../../src/rpc/listener/listener.ts';
import { conformanceRoutes } from './conformance-service.ts';

interface ServerCompatRequest {
  readonly useTls: boolean;
  readonly messageReceiveLimit: number;
  readonly serverCreds?: { readonly cert: Uint8Array; readonly key: Uint8Array };
}

const descriptors = readFileSync(process.argv[2]!);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors));
const requestDesc = registry.getMessage('connectrpc.conformance.v1.ServerCompatRequest')!;
const responseDesc = registry.getMessage('connectrpc.conformance.v1.ServerCompatResponse')!;

const wanted = fromBinary(requestDesc, await readSized()) as unknown as ServerCompatRequest;
const creds = wanted.useTls ? wanted.serverCreds : undefined;
const options = {
  routes: conformanceRoutes(registry),
  interceptors: [],
  readMaxBytes: wanted.messageReceiveLimit,
};
const listener = await listen({
  host: '127.0.0.1',
  port: 0,
  tls: creds && { cert: Buffer.from(creds.cert), key: Buffer.from(creds.key) },
});
const { typeName, methods } = registry.getService('connectrpc.conformance.v1.ConformanceService')!;
const paths = new Set(methods.map(({ name }) => `/${typeName}/${name}`));
const adapter = connectNodeAdapter(options);
listener.serve({
  onStream: grpcHandler({ ...options, maxMessageBytes: () => options.readMaxBytes }),
  onRequest(request, response) {
    // What the service's own gRPC has to take is not to be answered by Connect, or it would be Connect that is tested.
    const isPlain = (request.headers['grpc-encoding'] ?? 'identity') === 'identity';
    const isGrpc = request.headers['content-type'] === 'application/grpc';
    if (!isPlain || !isGrpc || !paths.has(request.url ?? '')) return adapter(request, response);
    response.writeHead(501);
    response.end();
  },
});
process.on('SIGTERM', () => process.exit(0));

const told = { host: '127.0.0.1', port: listener.port, ...(creds && { pemCert: creds.cert }) };
const response = toBinary(responseDesc, create(responseDesc, told));
const size = Buffer.alloc(4);
size.writeUInt32BE(response.length);
process.stdout.write(Buffer.concat([size, response]));

/** Reads one message that comes behind its length. */
async function readSized(): Promise<Buffer> {
  let read: Buffer = Buffer.alloc(0);
  for await (const chunk of process.stdin) {
    read = Buffer.concat([read, chunk as Buffer]);
    if (read.length >= 4 && read.length >= 4 + read.readUInt32BE()) return read.subarray(4);
  }
  throw new Error('the runner said nothing');
}
