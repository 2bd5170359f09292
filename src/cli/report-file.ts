import { open, type FileHandle } from 'node:fs/promises';
import { SettingsError } from '../config/settings.ts';

/** A report with one JSON line for each file, which is written beside the work. */
export class ReportFile {
  readonly #file: FileHandle;
  readonly #path: string;
  #written: Promise<void> = Promise.resolve();
  #failure: unknown;

  private constructor(file: FileHandle, path: string) {
    [this.#file, this.#path] = [file, path];
  }

  /** Opens a report to append to it; undefined without a path. */
  static async open(path: string | undefined): Promise<ReportFile | undefined> {
    if (path === undefined) return undefined;
    try {
      return new ReportFile(await open(path, 'a', 0o600), path);
    } catch (error) {
      throw unwritable(path, error);
    }
  }

  /** Appends a line. A failure is thrown by {@link close}: the work itself goes on. */
  write(line: object): void {
    const text = `${JSON.stringify(line)}\n`;
    this.#written = this.#written.then(() =>
      this.#file.appendFile(text).catch((error: unknown) => {
        this.#failure ??= error;
      }),
    );
  }

  /** Waits for all lines. Throws SettingsError if one could not be written. */
  async close(): Promise<void> {
    await this.#written;
    await this.#file.close();
    if (this.#failure !== undefined) throw unwritable(this.#path, this.#failure);
  }
}

/** What is said of a report that cannot be opened or written. */
export function unwritable(path: string, error: unknown): SettingsError {
  const why = error instanceof Error ? error.message : String(error);
  return new SettingsError([`--report: ${path} cannot be written: ${why}`]);
}
