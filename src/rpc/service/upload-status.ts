import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import {
  type GetUploadResponseSchema,
  type UploadSpec,
  UploadSpecSchema,
  UploadTransport,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { FileDescription } from '../../catalog/file-catalog.ts';
import type { Receipt } from '../../files/upload/commit.ts';
import type { OpenUpload } from '../../files/upload/resume.ts';
import { toFileDescription } from './convert.ts';

/** What GetUpload answers besides the progress. */
export function toUploadStatus(
  upload: OpenUpload | Receipt,
): Omit<MessageInitShape<typeof GetUploadResponseSchema>, '$typeName' | 'writeStatus'> {
  if ('file' in upload) {
    const { file, isReadable } = upload;
    if (!isReadable) return {};
    return { uploadSpec: toSpec(file, file.sizeBytes, ''), createTime: timestampFromDate(file.createTime) };
  }
  const { expireTime, createTime, description, sizeBytes, requestId, direct } = upload;
  return {
    expireTime: timestampFromDate(expireTime),
    uploadSpec: toSpec(description, sizeBytes, requestId),
    ...(createTime && { createTime: timestampFromDate(createTime) }),
    transport: direct ? UploadTransport.DIRECT : UploadTransport.THROUGH_SERVICE,
    partSizeBytes: BigInt(upload.partSizeBytes),
    storedPartNumbers: [...upload.storedPartNumbers],
  };
}

function toSpec(description: FileDescription, sizeBytes: number | undefined, requestId: string): UploadSpec {
  return create(UploadSpecSchema, {
    file: toFileDescription(description),
    ...(sizeBytes !== undefined && { sizeBytes: BigInt(sizeBytes) }),
    requestId,
  });
}
