#!/usr/bin/env node
import { tuneGarbageCollection } from './garbage-collection.ts';

tuneGarbageCollection();

// Only now: what loads before is not bound by it.
const { program } = await import('./cli/program.ts');
process.exitCode = await program(process.argv.slice(2));
