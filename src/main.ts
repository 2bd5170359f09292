#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8';
import { program } from './cli/program.ts';

/**
 * Room for new objects, in MiB. Node would let it grow to 64 in each of two halves, all of it resident, and then look so
 * seldom for what is dead that the buffers of a large upload pile up behind it.
 */
const YOUNG_SPACE_MIB = 2;

setFlagsFromString(`--max-semi-space-size=${YOUNG_SPACE_MIB}`);
setFlagsFromString('--semi-space-growth-factor=1');

process.exitCode = await program(process.argv.slice(2));
