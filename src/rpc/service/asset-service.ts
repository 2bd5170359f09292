import { create } from '@bufbuild/protobuf';
import type { ConnectRouter, HandlerContext } from '@connectrpc/connect';
import { crc32c } from '@node-rs/crc32';
import { AssetService, FileUrlResultSchema } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { getFiles } from '../../files/records.ts';
import { fileUrls } from '../../files/urls.ts';
import type { FilesContext } from '../../files/context.ts';
import { deleteFile, undeleteFile } from '../../files/delete.ts';
import { updateMetadata } from '../../files/update.ts';
import { listFiles } from '../../files/list.ts';
import { getFile } from '../../files/records.ts';
import { fileUrl } from '../../files/urls.ts';
import { openFile } from '../../files/download.ts';
import { callOf, type Call } from '../interceptors/call-context.ts';
import { toDescription, toFile, toFileUrlRequest, toFileUrlResponse, toFilter, toStatus } from './convert.ts';
import type { WatchContext } from '../../events/context.ts';
import { uploadHandlers } from './upload-handlers.ts';
import { subscriptionHandlers } from './subscription-handlers.ts';
import { watchHandlers } from './watch-handlers.ts';

/** Serves asset.v1.AssetService with the use cases. Handlers only convert. */
export function assetServiceRoutes(
  files: FilesContext,
  watching: WatchContext,
): (router: ConnectRouter) => void {
  return (router) =>
    router.service(AssetService, {
      ...uploadHandlers(files),
      ...watchHandlers(watching),
      ...subscriptionHandlers(watching),

      async getFileUrl(request, context) {
        const wanted = toFileUrlRequest(request);
        const { caller } = noteFile(context, wanted.fileId);
        return toFileUrlResponse(await fileUrl(files, caller, wanted, context.signal));
      },

      async batchGetFileUrls(request, context) {
        const call = callOf(context);
        const wanted = request.requests.map(toFileUrlRequest);
        const urls = await fileUrls(files, call.caller, wanted, context.signal);
        call.note({ files: urls.length });
        const results = urls.map((url) =>
          url.status === 'fulfilled'
            ? create(FileUrlResultSchema, {
                result: { case: 'response', value: toFileUrlResponse(url.value) },
              })
            : create(FileUrlResultSchema, {
                result: { case: 'error', value: toStatus(url.reason, call) },
              }),
        );
        return { results };
      },

      async *downloadFile(request, context) {
        const { caller } = noteFile(context, request.fileId);
        const [offset, limit] = [Number(request.readOffset), Number(request.readLimit)];
        const opened = await openFile(files, caller, request, offset, limit, context.signal);
        noteFile(context, opened.file.id);
        const { contentType } = opened;
        const start = { file: toFile(opened.file), contentType, sizeBytes: BigInt(opened.sizeBytes) };
        if (opened.content === undefined) {
          yield start;
          return;
        }
        let first = true;
        let bytes = 0;
        for await (const content of opened.content as AsyncIterable<Uint8Array<ArrayBuffer>>) {
          bytes += content.byteLength;
          yield { data: { content, crc32c: crc32c(content) }, ...(first && start) };
          first = false;
        }
        callOf(context).note({ bytes });
      },

      async getFile(request, context) {
        const { caller } = noteFile(context, request.fileId);
        const file = await getFile(files, caller, request, context.signal);
        noteFile(context, file.id);
        const thumbhash = await files.variants?.thumbhashOf(file, context.signal);
        const variants = files.variants?.namesFor(file) ?? [];
        return { file: toFile(file), variants, ...(thumbhash && { thumbhash }) };
      },

      async batchGetFiles(request, context) {
        const call = callOf(context);
        const { files: found, missing } = await getFiles(files, call.caller, request.fileIds, context.signal);
        call.note({ files: found.length });
        return { files: found.map(toFile), missingFileIds: [...missing] };
      },

      async listFiles(request, context) {
        const { pageSize, pageToken, showDeleted } = request;
        const filter = toFilter(request.filter);
        const list = { filter, showDeleted, pageSize, pageToken };
        const call = callOf(context);
        const page = await listFiles(files, call.caller, list, context.signal);
        call.note({ files: page.files.length });
        return { files: page.files.map(toFile), nextPageToken: page.nextPageToken };
      },

      async updateMetadata(request, context) {
        const fileId = request.file?.id ?? '';
        const { caller } = noteFile(context, fileId);
        const wanted = toDescription(request.file);
        const paths = request.updateMask?.paths ?? [];
        const update = { fileId, etag: request.file?.etag ?? '', wanted, paths };
        return { file: toFile(await updateMetadata(files, caller, update, context.signal)) };
      },

      async deleteFile(request, context) {
        const { caller } = noteFile(context, request.fileId);
        const file = await deleteFile(files, caller, request.fileId, request.etag, context.signal);
        return { file: toFile(file) };
      },

      async undeleteFile(request, context) {
        const { caller } = noteFile(context, request.fileId);
        const file = await undeleteFile(files, caller, request.fileId, request.etag, context.signal);
        return { file: toFile(file) };
      },
    });
}

/** The call; notes the file for its log line. */
function noteFile(context: HandlerContext, fileId: string): Call {
  const call = callOf(context);
  call.note({ file_id: fileId });
  return call;
}
