import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import { UploadTransport, type AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { FileSchema, type File } from '@asset-service/contract/asset/v1/file_pb.js';
import { auditedCaller } from '../../identity/caller.ts';
import type { FilesContext } from '../../files/context.ts';
import type { Receipt } from '../../files/upload/commit.ts';
import type { UploadProgress } from '../../files/upload/resume.ts';
import { cancelUpload, completeUpload, getUpload, resumeUpload } from '../../files/upload/resume.ts';
import { signUploadParts } from '../../files/upload/direct.ts';
import { startUpload } from '../../files/upload/start.ts';
import { withStallTimeout } from '../../files/upload/stall-timeout.ts';
import { uploadFile } from '../../files/upload/upload-file.ts';
import { callOf, type Call } from '../interceptors/call-context.ts';
import { toFile } from './convert.ts';
import {
  smallPiecesPacer,
  checkedChunk,
  openUpload,
  toExpected,
  toNewUpload,
  toSize,
} from './upload-stream.ts';
import { toUploadStatus } from './upload-status.ts';

type UploadRpc =
  | 'upload'
  | 'startUpload'
  | 'uploadChunk'
  | 'getUpload'
  | 'signUploadParts'
  | 'completeUpload'
  | 'cancelUpload';

/** Implements the RPCs that upload. */
export function uploadHandlers(files: FilesContext): Pick<ServiceImpl<typeof AssetService>, UploadRpc> {
  const paced = smallPiecesPacer();
  return {
    async upload(messages, context) {
      const call = callOf(context);
      const inTime = withStallTimeout(messages, files.uploads.stallTimeoutMs);
      try {
        const opened = await openUpload(paced(inTime, context.signal));
        if (opened.kind === 'new') {
          const receipt = await uploadFile(files, call.caller, opened.upload, context.signal);
          return { writeStatus: { case: 'file', value: toReceipt(acknowledged(files, call, receipt)) } };
        }
        const { uploadId, appendix } = opened;
        const progress = await resumeUpload(files, call.caller, uploadId, appendix, context.signal);
        if ('file' in progress) acknowledged(files, call, progress);
        return { writeStatus: toWriteStatus(call, uploadId, progress) };
      } finally {
        // An upload that is refused reads no further; the timer would hold on to its messages.
        inTime.return(undefined).catch(() => undefined);
      }
    },

    async startUpload(request, context) {
      const call = callOf(context);
      const direct = request.transport === UploadTransport.DIRECT;
      // The rules of the contract require the spec.
      const wanted = { ...toNewUpload(request.uploadSpec!), direct };
      const { uploadId, expireTime, partSizeBytes } = await startUpload(
        files,
        call.caller,
        wanted,
        context.signal,
      );
      call.note({ upload_id: uploadId });
      return {
        uploadId,
        ...(expireTime && { expireTime: timestampFromDate(expireTime) }),
        partSizeBytes: BigInt(partSizeBytes),
      };
    },

    async uploadChunk(request, context) {
      const call = callOf(context);
      const { uploadId, writeOffset, data, checksums, finishWrite, sizeBytes } = request;
      const chunk = checkedChunk(data, writeOffset, Number(writeOffset));
      const expected = toExpected(checksums);
      const appendix = {
        writeOffset: Number(writeOffset),
        content: once(chunk, { expected, isComplete: finishWrite }),
        expected,
        maxBytes: chunk.bytes.length,
        sizeBytes: toSize(sizeBytes),
      };
      const progress = await resumeUpload(files, call.caller, uploadId, appendix, context.signal);
      if ('file' in progress) acknowledged(files, call, progress);
      return { writeStatus: toWriteStatus(call, uploadId, progress) };
    },

    async getUpload({ uploadId }, context) {
      const call = callOf(context);
      const upload = await getUpload(files, call.caller, uploadId, context.signal);
      return { writeStatus: toWriteStatus(call, uploadId, upload), ...toUploadStatus(upload) };
    },

    async signUploadParts({ uploadId, partNumbers }, context) {
      const call = callOf(context);
      call.note({ upload_id: uploadId });
      const { parts, expireTime } = await signUploadParts(
        files,
        call.caller,
        uploadId,
        partNumbers,
        context.signal,
      );
      return {
        parts: parts.map(({ partNumber, url, headers }) => ({ partNumber, url, headers: { ...headers } })),
        expireTime: timestampFromDate(expireTime),
      };
    },

    async completeUpload({ uploadId, checksums }, context) {
      const call = callOf(context);
      call.note({ upload_id: uploadId });
      const expected = toExpected(checksums);
      const receipt = await completeUpload(files, call.caller, uploadId, expected, context.signal);
      return { file: toReceipt(acknowledged(files, call, receipt)) };
    },

    async cancelUpload({ uploadId }, context) {
      const call = callOf(context);
      call.note({ upload_id: uploadId });
      await cancelUpload(files, call.caller, uploadId, context.signal);
      return {};
    },
  };
}

/** Records in the audit log that an upload is answered with its file. */
function acknowledged({ audit }: FilesContext, call: Call, receipt: Receipt): Receipt {
  const { file } = receipt;
  call.note({ file_id: file.id, bytes: file.sizeBytes });
  const what = { action: 'store', allowed: true, why: 'verified', fileId: file.id };
  audit.record({ ...auditedCaller(call.caller), ...what, facts: { bytes: file.sizeBytes } });
  return receipt;
}

function toWriteStatus(call: Call, uploadId: string, progress: UploadProgress<Receipt>) {
  call.note({ upload_id: uploadId });
  if ('persistedSize' in progress) {
    call.note({ persisted: progress.persistedSize });
    return { case: 'persistedSize' as const, value: BigInt(progress.persistedSize) };
  }
  call.note({ file_id: progress.file.id, bytes: progress.file.sizeBytes });
  return { case: 'file' as const, value: toReceipt(progress) };
}

/** The message of a file for its uploader; only the id if the caller may not read the file. */
function toReceipt({ file, isReadable }: Receipt): File {
  return isReadable ? toFile(file) : create(FileSchema, { id: file.id });
}

async function* once<T, E>(value: T, end: E): AsyncGenerator<T, E, undefined> {
  yield value;
  return end;
}
