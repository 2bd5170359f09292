#!/usr/bin/env node
import { enableCompileCache } from 'node:module';

// Before anything is loaded. Node.js reads NODE_COMPILE_CACHE itself.
const compileCache = process.env['ASSET_COMPILE_CACHE'];
if (compileCache) enableCompileCache(compileCache);
const { program } = await import('./cli/program.ts');

process.exitCode = await program(process.argv.slice(2));
