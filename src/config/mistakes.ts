import { readFileSync } from 'node:fs';
import { SettingsError } from './options/environment.ts';
import { shownValue } from '../errors/redaction.ts';
import type { Settings } from './options.ts';

/** Collects the mistakes in the settings, so that all are reported together. */
export class Mistakes {
  readonly #settings: Settings;
  readonly #found: string[] = [];

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Adds a mistake in a setting. */
  add(name: keyof Settings, text: string): void {
    this.#found.push(`${name}: ${text}`);
  }

  /** The value of a setting that another one requires. */
  require(name: keyof Settings, because: string): string {
    const value = this.#settings[name];
    if (typeof value === 'string') return value;
    if (!this.#found.some((line) => line.startsWith(`${name}: `)))
      this.add(name, `is required with ${because}`);
    return '';
  }

  /**
   * Content of the file that a setting names. Empty, and a mistake, if it cannot be read; a missing path was
   * already reported.
   */
  readFile(name: keyof Settings, path: string): Buffer {
    if (path === '') return Buffer.alloc(0);
    try {
      return readFileSync(path);
    } catch (error) {
      this.add(
        name,
        `cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'error'} (it is ${JSON.stringify(shownValue(path))})`,
      );
      return Buffer.alloc(0);
    }
  }

  /** @throws SettingsError if there are mistakes */
  report(): void {
    if (this.#found.length > 0) throw new SettingsError(this.#found);
  }
}
