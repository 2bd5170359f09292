#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8';

/**
 * Room for new objects, in MiB. Node would let it grow to 64 in each of two halves, all of it resident, and then look so
 * seldom for what is dead that the buffers of a large upload pile up behind it.
 */
const YOUNG_SPACE_MIB = 2;

/**
 * By how much the heap may grow until all of it is looked through, in percent. V8 counts the buffers of an upload as
 * growth, though each is dead after a moment and found so among the new objects: left to itself it would look
 * through the heap ten times a second, for nothing, and take half of the CPU time of a large upload with it.
 */
const HEAP_GROWING_PERCENT = 150;

setFlagsFromString(`--max-semi-space-size=${YOUNG_SPACE_MIB}`);
setFlagsFromString('--semi-space-growth-factor=1');
setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);

// Only now: while the modules load, new objects would be given all the room that they may have.
const { program } = await import('./cli/program.ts');
process.exitCode = await program(process.argv.slice(2));
