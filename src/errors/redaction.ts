const HIDDEN = '***';

const URLS = /[a-z][a-z0-9+.-]*:\/\/[^\s"'<>\\`]+/gi;

/** User and password before the host. */
const USER = /^[^/?#]*@/;

/** The same with characters that are not valid in a URL; `host:8080/` does not match. */
const BROKEN_USER = /^[^/:@?#]+:(?!\d{1,5}(?:[/?#]|$)).*@/;

const QUERY_VALUE = /([?&][\w.-]+=)[^&#\s"'\\]*/g;

/** A text, such as a library's message, without users, passwords and query values of URLs in it. */
export function withoutSecrets(text: string): string {
  if (!text.includes('://')) return text;
  return text.replaceAll(URLS, (url) => {
    const start = url.indexOf('://') + 3;
    const rest = url.slice(start).replace(USER, `${HIDDEN}@`).replace(BROKEN_USER, `${HIDDEN}@`);
    return url.slice(0, start) + withoutQueryValues(rest);
  });
}

/** A setting or flag for display; it may be an invalid URL. */
export function shownValue(value: string): string {
  const shown = withoutSecrets(value);
  const hasUser = shown === value && /(?:\/\/|:).*@/s.test(value);
  return withoutQueryValues(hasUser ? value.replace(/^.*@/s, `${HIDDEN}@`) : shown);
}

function withoutQueryValues(text: string): string {
  return text.replaceAll(QUERY_VALUE, `$1${HIDDEN}`);
}
