import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { create } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { ServerReflection } from '@asset-service/contract/grpc/reflection/v1/reflection_pb.js';
import { ServerReflection as ServerReflectionAlpha } from '@asset-service/contract/grpc/reflection/v1alpha/reflection_pb.js';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { serverProgram } from '../support/install.ts';
import { startService, type Service } from '../support/service.ts';
import { clientOf, randomContent, upload } from './support/calls.ts';

const exec = promisify(execFile);
const SERVICES = [
  'asset.v1.AssetService',
  'grpc.health.v1.Health',
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
];

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service?.dispose());

describe.each([
  ['v1', ServerReflection],
  ['v1alpha', ServerReflectionAlpha as unknown as typeof ServerReflection],
] as const)('reflection %s', (_, Reflection) => {
  type Request =
    Parameters<ReturnType<typeof clientFor>['serverReflectionInfo']>[0] extends AsyncIterable<infer T>
      ? T
      : never;
  const clientFor = () => createClient(Reflection, createGrpcTransport({ baseUrl: service.url }));

  /** The answers to these questions, asked on one stream. */
  async function ask(...questions: NonNullable<Request['messageRequest']>[]) {
    const answers = [];
    const requests = (async function* () {
      for (const messageRequest of questions) yield { messageRequest };
    })();
    for await (const { messageResponse } of clientFor().serverReflectionInfo(requests))
      answers.push(messageResponse);
    return answers;
  }

  it('lists the services', async () => {
    const [answer] = await ask({ case: 'listServices', value: '' });
    if (answer?.case !== 'listServicesResponse') throw new Error('no list');
    expect(answer.value.service.map(({ name }) => name).sort()).toEqual(SERVICES);
  });

  it.each(['asset.v1.AssetService', 'asset.v1.AssetService.Upload', 'asset.v1.File', 'asset.v1.File.name'])(
    'describes %s with all that it needs',
    async (value) => {
      const [answer] = await ask({ case: 'fileContainingSymbol', value });
      if (answer?.case !== 'fileDescriptorResponse') throw new Error(`no file for ${value}`);
      const file = answer.value.fileDescriptorProto.map((bytes) =>
        fromBinary(FileDescriptorProtoSchema, bytes),
      );
      const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: file.reverse() }));
      expect(registry.getMessage('asset.v1.File')?.fields.map(({ name }) => name)).toContain('size_bytes');
    },
  );

  it('answers several questions on one stream, also those that it cannot', async () => {
    const answers = await ask(
      { case: 'fileByFilename', value: 'asset/v1/file.proto' },
      { case: 'fileByFilename', value: 'nonsense.proto' },
      { case: 'fileContainingSymbol', value: 'asset.v1.Nonsense' },
      { case: 'allExtensionNumbersOfType', value: 'google.protobuf.FieldOptions' },
    );
    expect(answers.map((answer) => answer.case)).toEqual([
      ...['fileDescriptorResponse', 'errorResponse', 'errorResponse', 'allExtensionNumbersResponse'],
    ]);
  });
});

const grpcurl = await serverProgram('grpcurl').catch((error: NodeJS.ErrnoException) => {
  if (error.code === 'ENOENT') return undefined;
  throw error;
});

describe('grpcurl', () => {
  if (!grpcurl) {
    it.skip('lists, describes and calls the service (no Go to build grpcurl with; set ASSET_TEST_GRPCURL_BIN)', () => {});
    return;
  }
  const call = async (...args: string[]) => (await exec(grpcurl, ['-plaintext', ...args])).stdout;
  const address = () => new URL(service.url).host;

  it('lists, describes and calls the service without a proto file', async () => {
    expect((await call(address(), 'list')).trim().split('\n').sort()).toEqual(SERVICES);
    expect(await call(address(), 'describe', 'asset.v1.AssetService')).toContain('rpc Upload ( stream');
    const file = await upload(clientOf(service.url), randomContent(3), { file: { name: 'by grpcurl' } });
    const said = await call(
      '-d',
      JSON.stringify({ file_id: file.id }),
      address(),
      'asset.v1.AssetService/GetFile',
    );
    expect(JSON.parse(said)).toMatchObject({ file: { id: file.id, name: 'by grpcurl', sizeBytes: '3' } });
    const failed = await exec(grpcurl, [
      ...['-plaintext', '-d', '{"file_id":"missing00000000"}', address(), 'asset.v1.AssetService/GetFile'],
    ]).catch(({ stderr }: { stderr: string }) => stderr);
    expect(failed).toContain('NotFound');
    expect(failed).toContain('ERROR_REASON_FILE_NOT_FOUND');
    expect(await call(address(), 'grpc.health.v1.Health/Check')).toContain('SERVING');
  });
});
