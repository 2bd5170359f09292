import type {
  FileFilterSchema,
  ListFilesRequestSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { assertText, assertWhole, fromArguments } from './arguments.ts';
import { invalidOption } from './errors.ts';
import type { AssetFile } from './records.ts';
import type { CallOptions } from './retry.ts';

/** Which files; a file must meet every condition that is set. */
export interface FileFilter {
  readonly owner?: string | undefined;
  readonly usage?: string | undefined;
  readonly relation?: { readonly name: string; readonly id: string } | undefined;
  /** `image/png`, or `image/*` for every image. */
  readonly contentType?: string | undefined;
  /** Inclusive. */
  readonly createTimeFrom?: Date | undefined;
  /** Exclusive. */
  readonly createTimeTo?: Date | undefined;
}

/** Which files to list. */
export interface ListOptions extends CallOptions, FileFilter {
  /** True to list soft-deleted files as well. */
  readonly showDeleted?: boolean | undefined;
  /** Maximum number of files in a page; 50 if omitted, 1,000 at most. */
  readonly pageSize?: number | undefined;
}

/** Which page of a list. */
export interface PageOptions extends ListOptions {
  /** `nextPageToken` of the page before, with the same conditions; the first page if omitted. */
  readonly pageToken?: string | undefined;
}

/** One page of a list. */
export interface FilePage {
  /** Newest first; may be fewer than asked for, also none, while there are more. */
  readonly files: readonly AssetFile[];
  /** What gives the next page; undefined at the end of the list. */
  readonly nextPageToken: string | undefined;
}

/** The message that asks for a page. */
export function toListRequest(options: PageOptions): MessageInitShape<typeof ListFilesRequestSchema> {
  return fromArguments(() => ({
    filter: toFilterMessage(options),
    pageSize: assertWhole('pageSize', options.pageSize) ?? 0,
    pageToken: options.pageToken ?? '',
    showDeleted: options.showDeleted ?? false,
  }));
}

/**
 * The message of a filter.
 *
 * @throws AssetClientError OPTION_INVALID
 */
export function toFilterMessage(filter: FileFilter): MessageInitShape<typeof FileFilterSchema> {
  const { createTimeFrom, createTimeTo, relation } = filter;
  const time = (name: string, date: Date) => {
    if (Number.isNaN(date.getTime())) throw invalidOption(`${name} is no valid date`);
    return timestampFromDate(date);
  };
  return {
    owner: assertText('owner', filter.owner),
    usage: assertText('usage', filter.usage),
    contentType: assertText('contentType', filter.contentType),
    ...(relation === undefined
      ? {}
      : {
          relation: {
            name: assertText('relation.name', relation.name),
            id: assertText('relation.id', relation.id),
          },
        }),
    ...(createTimeFrom === undefined ? {} : { createTimeFrom: time('createTimeFrom', createTimeFrom) }),
    ...(createTimeTo === undefined ? {} : { createTimeTo: time('createTimeTo', createTimeTo) }),
  };
}
