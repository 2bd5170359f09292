/** Element names with which an HTML page may start; other elements mean XML. */
const HTML_ELEMENTS = new Set(
  (
    'html head body title base link meta style script noscript template article section nav aside h1 h2 h3 h4 h5 h6 ' +
    'header footer main div p hr pre blockquote ol ul li dl dt dd figure img picture source iframe embed object ' +
    'param video audio track map area table caption tbody thead tr td th form label input button select textarea ' +
    'details summary dialog a em strong b i u s small span br font center marquee frameset frame applet basefont ' +
    'bgsound isindex plaintext xmp noframes address math canvas keygen portal'
  ).split(' '),
);

/**
 * The type of markup at the start of some bytes, as a browser would read them: HTML with or without a doctype, SVG
 * and XML, after white space, comments and processing instructions, in UTF-8 or UTF-16. Undefined if it is no
 * markup.
 *
 * @param head - the first bytes of a file
 */
export function detectMarkup(head: Uint8Array): string | undefined {
  let rest = textOf(head);
  let xml = false;
  for (;;) {
    // Control characters too, because a browser skips more than XML does.
    rest = rest.replace(/^[\s\0-\x20\ufeff\ufffe]+/u, '');
    if (/^<\?xml[\s?]/i.test(rest)) xml = true;
    const doctype = /^<!doctype\s+([\w:.-]+)/i.exec(rest);
    if (doctype) return fromRoot(doctype[1]!, true, rest);
    const end = /^<!--/.test(rest) ? '-->' : /^<[?!]/.test(rest) ? '>' : undefined;
    if (end === undefined) break;
    const at = rest.indexOf(end);
    // If the end of a comment is beyond the head, assume the worst.
    if (at < 0) return xml ? 'application/xml' : 'text/html';
    rest = rest.slice(at + end.length);
  }
  const root = /^<([a-z_][\w:.-]*)(?=[\s/>]|$)/i.exec(rest);
  if (root) return fromRoot(root[1]!, xml, rest);
  return xml ? 'application/xml' : undefined;
}

function fromRoot(name: string, xml: boolean, rest: string): string | undefined {
  const local = name.toLowerCase().split(':').at(-1)!;
  if (local === 'svg') return 'image/svg+xml';
  if (/http:\/\/www\.w3\.org\/1999\/xhtml/i.test(rest) && xml) return 'application/xhtml+xml';
  if (HTML_ELEMENTS.has(local)) return 'text/html';
  // A text may start with something in angle brackets; an XML declaration or namespace makes it XML.
  return xml || /^<[^>]*\sxmlns(:[\w.-]+)?\s*=/.test(rest) ? 'application/xml' : undefined;
}

/** The bytes as text. UTF-16 is recognised by its byte order mark, or by the zero byte of the first character. */
function textOf(head: Uint8Array): string {
  const [first, second] = head;
  if ((first === 0xff && second === 0xfe) || startsWide(head, 0)) return decode('utf-16le', head);
  if ((first === 0xfe && second === 0xff) || startsWide(head, 1)) return decode('utf-16be', head);
  return Buffer.from(head).toString('utf8');
}

/** True for white space and then `<`, each with a zero byte; `at` is 0 if the zero comes second. */
function startsWide(head: Uint8Array, at: 0 | 1): boolean {
  for (let index = 0; index + 1 < head.length; index += 2) {
    if (head[index + 1 - at] !== 0) return false;
    const char = head[index + at]!;
    if (char === 0x3c) return true;
    if (![0x20, 0x09, 0x0a, 0x0d].includes(char)) return false;
  }
  return false;
}

function decode(encoding: 'utf-16le' | 'utf-16be', bytes: Uint8Array): string {
  return new TextDecoder(encoding).decode(bytes.subarray(0, bytes.length & ~1));
}
