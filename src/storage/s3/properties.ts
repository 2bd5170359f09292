import type { BlobHeaders, BlobProperties } from '../blob.ts';

/** Longest metadata of users, in characters: S3 takes 2 KiB, with our write id. */
const MAX_METADATA = 1_900;

const PRINTABLE = /^[ -~]*$/;

/** Headers of a PUT that stores these properties. */
export function propertyHeaders({ contentType, headers = {} }: BlobProperties): Record<string, string> {
  const { contentEncoding, contentLanguage, contentDisposition, cacheControl, metadata = {} } = headers;
  return {
    'content-type': contentType,
    ...(contentEncoding !== undefined && { 'content-encoding': contentEncoding }),
    ...(contentLanguage !== undefined && { 'content-language': contentLanguage }),
    ...(contentDisposition !== undefined && { 'content-disposition': contentDisposition }),
    ...(cacheControl !== undefined && { 'cache-control': cacheControl }),
    ...Object.fromEntries(Object.entries(metadata).map(([name, value]) => [`x-amz-meta-${name}`, value])),
  };
}

/** The same as fields of the SDK's commands, with the write id of the object. */
export function propertyFields({ contentType, headers = {} }: BlobProperties, writeId: string) {
  const { contentEncoding, contentLanguage, contentDisposition, cacheControl, metadata = {} } = headers;
  return {
    ContentType: contentType,
    ...(contentEncoding !== undefined && { ContentEncoding: contentEncoding }),
    ...(contentLanguage !== undefined && { ContentLanguage: contentLanguage }),
    ...(contentDisposition !== undefined && { ContentDisposition: contentDisposition }),
    ...(cacheControl !== undefined && { CacheControl: cacheControl }),
    Metadata: { ...metadata, 'write-id': writeId },
  };
}

/**
 * The headers in a response to HEAD that can be stored again: values of printable ASCII. `aws-chunked` is omitted: some
 * programs store it, and it says how the bytes were sent.
 */
export function headersOf(head: {
  readonly ContentEncoding?: string | undefined;
  readonly ContentLanguage?: string | undefined;
  readonly ContentDisposition?: string | undefined;
  readonly CacheControl?: string | undefined;
  readonly Metadata?: Readonly<Record<string, string>> | undefined;
}): BlobHeaders {
  const { ContentEncoding, ContentLanguage, ContentDisposition, CacheControl, Metadata = {} } = head;
  const encodings = (ContentEncoding ?? '').split(',').map((one) => one.trim());
  const contentEncoding = encodings.filter((one) => one !== '' && one !== 'aws-chunked').join(', ');
  const metadata = Object.entries(Metadata)
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name, value]) => name !== 'write-id' && PRINTABLE.test(value));
  const length = metadata.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  const kept = (value = '') => value !== '' && PRINTABLE.test(value);
  return {
    ...(kept(contentEncoding) && { contentEncoding }),
    ...(kept(ContentLanguage) && { contentLanguage: ContentLanguage! }),
    ...(kept(ContentDisposition) && { contentDisposition: ContentDisposition! }),
    ...(kept(CacheControl) && { cacheControl: CacheControl! }),
    ...(metadata.length > 0 && length <= MAX_METADATA && { metadata: Object.fromEntries(metadata) }),
  };
}
