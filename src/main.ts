#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8';
import { collectYoungGarbage } from './young-garbage.ts';

/**
 * By how much the heap may grow until all of it is looked through, in percent. V8 counts the buffers of an upload as
 * growth, though each is dead after a moment and found so among the new objects: left to itself it would look
 * through the heap ten times a second, for nothing, and take half of the CPU time of a large upload with it.
 */
const HEAP_GROWING_PERCENT = 150;

setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
collectYoungGarbage();

// Only now: what loads before the flags are set is not bound by them.
const { program } = await import('./cli/program.ts');
process.exitCode = await program(process.argv.slice(2));
