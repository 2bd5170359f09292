import type { FileRecord } from './file-record.ts';

/** A record as JSON text, as it is kept in the change log. */
export function recordToJson(record: FileRecord): string {
  const { sha256, createTime, updateTime, deleteTime, purgeTime, ...others } = record;
  return JSON.stringify({
    ...others,
    ...(sha256 && { sha256: Buffer.from(sha256).toString('base64') }),
    ...{ createTime: createTime.getTime(), updateTime: updateTime.getTime() },
    ...(deleteTime && { deleteTime: deleteTime.getTime() }),
    ...(purgeTime && { purgeTime: purgeTime.getTime() }),
  });
}

type RecordJson = Omit<FileRecord, 'sha256' | 'createTime' | 'updateTime' | 'deleteTime' | 'purgeTime'> & {
  readonly sha256?: string;
  readonly createTime: number;
  readonly updateTime: number;
  readonly deleteTime?: number;
  readonly purgeTime?: number;
};

/** The record in a text of {@link recordToJson}. */
export function recordFromJson(text: string): FileRecord {
  const { sha256, createTime, updateTime, deleteTime, purgeTime, ...others } = JSON.parse(text) as RecordJson;
  return {
    ...others,
    crc32c: others.crc32c,
    sha256: sha256 === undefined ? undefined : new Uint8Array(Buffer.from(sha256, 'base64')),
    ...{ createTime: new Date(createTime), updateTime: new Date(updateTime) },
    deleteTime: deleteTime === undefined ? undefined : new Date(deleteTime),
    purgeTime: purgeTime === undefined ? undefined : new Date(purgeTime),
  };
}
