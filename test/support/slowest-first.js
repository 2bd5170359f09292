import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import Sequencer from '@jest/test-sequencer';

/** Seconds of the slowest files on two quiet cores, by path. */
const KNOWN = JSON.parse(readFileSync(join(import.meta.dirname, 'test-seconds.json'), 'utf8'));

/**
 * Orders test files from slow to fast, so that no slow file starts last and runs alone. Jest knows only the times of
 * earlier runs on the same machine: in a fresh clone the list of known times replaces them.
 */
export default class SlowestFirst extends Sequencer {
  /** Time of a file in milliseconds: its last one, or the known one. Of other files the larger ones come first. */
  time(test) {
    const { path, context } = test;
    const known = KNOWN[relative(context.config.rootDir, path)];
    return super.time(test) ?? (known ? known * 1000 : (context.hasteFS.getSize(path) ?? 0) / 1000);
  }
}
