import de from '../messages/de.json';
import en from '../messages/en.json';

export type Language = 'en' | 'de';
export type MessageKey = keyof typeof en.page;

const MESSAGES = { en, de };
const STORED = 'language';

/** The person's choice, otherwise that of the browser. */
export const language: Language = ((): Language => {
  const stored = localStorage.getItem(STORED);
  const wanted = stored === null ? navigator.languages : [stored];
  for (const one of wanted) {
    const short = one.slice(0, 2).toLowerCase();
    if (short === 'en' || short === 'de') return short;
  }
  return 'en';
})();

/** Keeps the choice; takes effect with the next load. */
export function chooseLanguage(chosen: Language): void {
  localStorage.setItem(STORED, chosen);
  location.reload();
}

type Values = Readonly<Record<string, string | number>>;

/** A text of the page. */
export function t(key: MessageKey, values: Values = {}): string {
  return fill(MESSAGES[language].page[key], values);
}

/** A text with a number, such as `count_one` and `count_other`. */
export function tn(key: 'count' | 'uploadStarted' | 'filesAdded', count: number): string {
  const form = new Intl.PluralRules(language).select(count) === 'one' ? 'one' : 'other';
  return t(`${key}_${form}`, { count });
}

/** A text for a name that the product defines, otherwise the name itself. */
export function named(prefix: 'usage' | 'one' | 'attribute' | 'types', name: string): string {
  const key = `${prefix}_${name}`;
  const texts: Readonly<Record<string, string>> = MESSAGES[language].page;
  return texts[key] ?? name;
}

/** The text for people of an error's reason; undefined for one without a text. */
export function errorText(
  reason: string,
  metadata: Readonly<Record<string, string>> = {},
): string | undefined {
  const texts: Readonly<Record<string, string>> = MESSAGES[language].errors;
  const full = texts[reason];
  if (full === undefined) return undefined;
  const isKnown = [...full.matchAll(/\{(\w+)\}/g)].every(([, name]) => metadata[name!]);
  const text = isKnown ? full : (texts[`${reason}_PLAIN`] ?? full);
  const { max_size_bytes: max } = metadata;
  return fill(text, { ...metadata, ...(max !== undefined && { max_size_bytes: bytes(Number(max)) }) });
}

/** A number of bytes for people, in binary units as operating systems show them. */
export function bytes(count: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  const power = count < 1024 ? 0 : Math.min(Math.floor(Math.log2(count) / 10), units.length - 1);
  const value = count / 1024 ** power;
  const digits = power === 0 || value >= 100 ? 0 : 1;
  const style = { style: 'unit', unit: units[power]!, maximumFractionDigits: digits } as const;
  return new Intl.NumberFormat(language, { ...style, unitDisplay: power === 0 ? 'long' : 'short' }).format(
    value,
  );
}

/** A day, and for today the time. */
export function day(iso: string | undefined): string {
  if (iso === undefined) return '';
  const date = new Date(iso);
  const isToday = date.toDateString() === new Date().toDateString();
  return new Intl.DateTimeFormat(language, isToday ? { timeStyle: 'short' } : { dateStyle: 'medium' }).format(
    date,
  );
}

/** A day with its time. */
export function moment(iso: string | undefined): string {
  if (iso === undefined) return '';
  return new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(iso));
}

function fill(text: string, values: Values): string {
  return text.replaceAll(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}
