import { fieldInvalid } from '../../errors/fields.ts';

/** The media type without parameters, in lower case. */
export function essence(contentType: string): string {
  return contentType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/** Types that only mean "bytes". */
const GENERIC = new Set(
  ['octet-stream', 'unknown', 'x-unknown', 'download', 'x-download', 'force-download', 'x-binary', 'binary']
    .map((subtype) => `application/${subtype}`)
    .concat('binary/octet-stream', 'multipart/form-data', '*/*'),
);

/** True if the type says nothing about the bytes. */
export function isGeneric(type: string): boolean {
  return type === '' || GENERIC.has(type);
}

/** Subtype aliases, after `x-` and `vnd.` are removed. Applied to both sides of a comparison. */
const ALIASES: Readonly<Record<string, string>> = {
  ...{ jpg: 'jpeg', jpe: 'jpeg', pjpeg: 'jpeg', pjp: 'jpeg', jfif: 'jpeg', citrix_jpeg: 'jpeg' },
  ...{ tif: 'tiff', 'ms-bmp': 'bmp', 'windows-bmp': 'bmp', 'win-bitmap': 'bmp', 'citrix-png': 'png' },
  ...{ 'microsoft.icon': 'icon', ico: 'icon', 'adobe.photoshop': 'psd', photoshop: 'psd' },
  ...{ wave: 'wav', 'pn-wav': 'wav', aif: 'aiff', aifc: 'aiff', mid: 'midi', 'dolby.dd-raw': 'ac3' },
  ...{
    mp3: 'mpeg',
    'mpeg-3': 'mpeg',
    mpeg3: 'mpeg',
    mpg: 'mpeg',
    mpegaudio: 'mpeg',
    mp2p: 'mpeg',
    mp1s: 'mpeg',
  },
  ...{
    'hx-aac-adts': 'aac',
    aacp: 'aac',
    m4a: 'mp4',
    m4b: 'mp4',
    m4v: 'mp4',
    'mp4a-latm': 'mp4',
    mpegts: 'mp2t',
    'mpeg-ts': 'mp2t',
  },
  ...{ msvideo: 'avi', mov: 'quicktime', mkv: 'matroska' },
  ...{ 'zip-compressed': 'zip', zipped: 'zip', pkzip: 'zip', gunzip: 'gzip', gz: 'gzip', bz2: 'bzip2' },
  ...{ bzip: 'bzip2', rar: 'rar-compressed', tgz: 'gzip', gtar: 'tar', '7zip': '7z-compressed' },
  ...{ bzpdf: 'pdf', gzpdf: 'pdf', acrobat: 'pdf', richtext: 'rtf', 'debian.binary-package': 'deb' },
  ...{
    java: 'java-archive',
    jar: 'java-archive',
    sqlite: 'sqlite3',
    'font-woff': 'woff',
    'font-woff2': 'woff2',
  },
  ...{
    'font-ttf': 'ttf',
    'font-truetype': 'ttf',
    'font-otf': 'otf',
    'font-opentype': 'otf',
    opentype: 'otf',
  },
  ...{ 'dos-executable': 'msdownload', dosexec: 'msdownload', exe: 'msdownload', msdos: 'msdownload' },
  ...{ 'microsoft.portable-executable': 'msdownload', 'msdos-program': 'msdownload', executable: 'elf' },
  ...{ 'ms-asf': 'asf', 'ms-wmv': 'asf', 'ms-wma': 'asf', svg: 'svg+xml' },
};

function plainSubtype(type: string): string {
  let subtype = type.slice(type.indexOf('/') + 1);
  while (/^(x-|vnd\.)/.test(subtype)) subtype = subtype.replace(/^(x-|vnd\.)/, '');
  return ALIASES[subtype] ?? subtype;
}

/** True if both are names of one type, such as `image/jpg` and `image/jpeg`. */
export function isSameType(one: string, other: string): boolean {
  if (one === other) return true;
  if (plainSubtype(one) !== plainSubtype(other)) return false;
  const [top, otherTop] = [topOf(one), topOf(other)];
  // Many programs use `application/` for every type that they do not display.
  return top === otherTop || [top, otherTop].some((name) => name === 'application' || name === 'font');
}

/** Formats with the same first bytes. */
interface Family {
  /** The detected type if the bytes do not distinguish the members. */
  readonly base: RegExp;
  readonly members: RegExp;
  /** True if one member may be declared for another; then the bytes decide. Otherwise that is a contradiction. */
  readonly mixed: boolean;
}

const FAMILIES: readonly Family[] = [
  {
    base: /^application\/zip$/,
    members:
      /[/.+-]zip$|officedocument|opendocument|epub|java-archive|android|msix|3mf|x-xpinstall|usdz|\.kmz|macroenabled|vnd\.apple\.(pages|numbers|keynote)|iwork|visio|comicbook|x-cbz/,
    mixed: false,
  },
  {
    base: /^application\/x-cfb$/,
    members:
      /x-cfb|\/msword|ms-?excel|ms-?powerpoint|ms-?project|vnd\.ms-(works|office)|x-msi|x-ole-storage|ms-?outlook|visio|x-hwp|haansoft/,
    mixed: false,
  },
  {
    base: /^(application|text)\/xml$/,
    members: /^(image\/svg\+xml|application\/xhtml\+xml|text\/html)$/,
    mixed: false,
  },
  {
    base: /^application\/(pdf|postscript)$/,
    members: /\/(pdf|postscript|illustrator|eps|x-eps)$/,
    mixed: false,
  },
  {
    base: /^application\/gzip$/,
    members: /gzip|[/-](tar|tgz|gtar|compressed-tar)|svg\+xml-compressed/,
    mixed: false,
  },
  {
    base: /^image\/tiff$/,
    members: /tiff|x-(canon|nikon|sony|adobe|panasonic|fujifilm|olympus|pentax|epson|kodak)|x-dcraw/,
    mixed: true,
  },
  {
    base: /^video\/mp4$/,
    members:
      /^(video|audio|application)\/(mp4|quicktime|x-quicktime|m4[abprv]|x-m4[abprv]|3gpp2?|x-f4[abv])$/,
    mixed: true,
  },
  { base: /^image\/hei[cf]$/, members: /^image\/(hei[cf](-sequence)?|avif(-sequence)?)$/, mixed: true },
  {
    base: /^(application|video|audio)\/ogg$/,
    members: /\/(x-)?(ogg|ogv|oga|opus|flac|speex|vorbis)$/,
    mixed: true,
  },
  { base: /^video\/(webm|matroska)$/, members: /\/(webm|(x-)?matroska)$/, mixed: true },
  { base: /asf$/, members: /(ms-asf|x-ms-wm[avx])$/, mixed: true },
  { base: /^audio\/mpeg$/, members: /^audio\/(mp[123]|mpeg|aac|aacp|x-aac)$/, mixed: true },
  { base: /^video\/mpeg$/, members: /^video\/(mp2t|mp[12][ps]|mpeg|x-mpeg2?|mpg)$/i, mixed: true },
];

/**
 * Relation of a declared type to the detected one.
 *
 * - `same`: two names of one type, or formats that are often confused: the detected type counts
 * - `member`: the bytes show a container, and the declared type is a format in such a container
 * - `contradiction`: the same container, but another format
 * - `unrelated`
 */
type Relation = 'same' | 'member' | 'contradiction' | 'unrelated';

/** Relation of `declared` to `detected`, both without parameters. */
export function relationOf(declared: string, detected: string): Relation {
  if (isSameType(declared, detected)) return 'same';
  for (const { base, members, mixed } of FAMILIES) {
    const isMember = members.test(declared) || base.test(declared);
    if (!isMember || !(members.test(detected) || base.test(detected))) continue;
    if (base.test(detected) && !base.test(declared)) return 'member';
    if (mixed || (base.test(declared) && !base.test(detected))) return 'same';
    // Two names of one base, such as those of XML.
    return plainSubtype(declared) === plainSubtype(detected) ? 'same' : 'contradiction';
  }
  return 'unrelated';
}

/** True if files of this type start with a detectable container. XML may start without any signature. */
export function hasContainer(type: string): boolean {
  if (/^text\/|[/+]xml$/.test(type)) return /\/(svg|xhtml)\+xml$/.test(type);
  return FAMILIES.some(({ members, mixed }) => !mixed && members.test(type));
}

/** True if many formats use a container of this type. */
export function isContainer(type: string): boolean {
  return FAMILIES.some(({ base, mixed }) => !mixed && base.test(type)) && !/pdf|postscript/.test(type);
}

/** True if files of this type are text. */
export function isText(type: string): boolean {
  if (/^(image|audio|video|font)\//.test(type)) return false;
  return /^text\/|[/+](json|xml|yaml|javascript|csv)$|\/(x-)?(ndjson|jsonl|sql|toml|yaml|sh|latex|tex)$/.test(
    type,
  );
}

function topOf(type: string): string {
  return type.slice(0, type.indexOf('/'));
}

/** A media type of RFC 9110. Parameters may have all characters permitted in a header. */
const MEDIA_TYPE = /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+(?:[ \t]*;[\t -~]*)?$/;

/**
 * A content type as stored: trimmed; empty stays empty. Other text is refused: line ends in a header would start
 * another one.
 *
 * @param field - where it came from, for the error
 * @throws AssetError FIELD_INVALID
 */
export function cleanContentType(contentType: string, field: string): string {
  const clean = contentType.replaceAll(/^[ \t]+|[ \t]+$/g, '');
  if (clean === '' || MEDIA_TYPE.test(clean)) return clean;
  throw fieldInvalid(
    field,
    'a media type is written like image/png or text/plain; charset=utf-8: send one, or none',
  );
}
