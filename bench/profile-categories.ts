/** A function as V8 reports it. */
export interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}

/** Category by source file; the first matching pattern counts. */
const BY_FILE: readonly (readonly [RegExp, string])[] = [
  [/^(?!.*node_modules).*\/dist\/(rpc|files|storage|catalog)\//, 'Asset Service: src/$1'],
  [/^(?!.*node_modules).*\/dist\//, 'Asset Service: the rest'],
  [/@bufbuild\/protovalidate|@connectrpc\/validate|cel/, 'protovalidate'],
  [/@bufbuild\/protobuf/, 'protobuf'],
  [/@connectrpc\//, 'Connect'],
  [/@aws-sdk\/|@smithy\/|@aws-crypto\//, 'AWS SDK'],
  [/\/file-type\/|strtok3|token-types/, 'type detection'],
  [/\/pino|sonic-boom/, 'log'],
  [/undici/, 'fetch'],
  [/\/pocketbase\//, 'PocketBase SDK'],
  [/^node:.*(http2)/, 'Node.js: HTTP/2'],
  [/^node:(_http|internal\/http|http)/, 'Node.js: HTTP/1.1'],
  [/^node:.*(crypto)/, 'hashing and signing'],
  [/^node:(net|internal\/(stream_base|net))/, 'Node.js: sockets'],
  [/^node:.*(stream)/, 'Node.js: streams'],
  [/^node:(buffer|internal\/buffer)/, 'Node.js: buffers'],
  [/^node:/, 'Node.js: events, promises, timers, the rest'],
];

/** Category of functions without a file: V8's own, and native ones by name. */
const BY_NAME: readonly (readonly [RegExp, string])[] = [
  [/^\(garbage collector\)$/, 'garbage collection'],
  [/^\(program\)$/, 'native code (system calls, nghttp2, memory)'],
  [/crc32|^(Hash|Hmac|update|digest|oneShotDigest)$/i, 'hashing and signing'],
  [
    /write|shutdown|respond|readStart|readStop|connect|setBlocking|open|listen/i,
    'native code (system calls, nghttp2, memory)',
  ],
];

/** The category of a function. */
export function categoryOf({ functionName, url }: CallFrame): string {
  const [table, text] = url === '' ? [BY_NAME, functionName] : [BY_FILE, url];
  for (const [pattern, category] of table) {
    const match = pattern.exec(text);
    if (match) return category.replace('$1', match[1] ?? '');
  }
  return url === '' ? 'built-in functions of JavaScript' : 'other packages';
}
