/**
 * Generates the code in clients/python: the messages from the contract, the synchronous client from the asyncio one. A test
 * of that package checks for drift. Without a Python that can do it, says so and changes nothing.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { preparePython } from '../test/support/python.ts';

const project = join(import.meta.dirname, '..', 'clients', 'python');
const prepared = await preparePython(join(project, 'requirements-test.txt'));
if ('missing' in prepared) {
  console.error(`clients/python was not generated: ${prepared.missing}`);
} else {
  for (const tool of ['generate_contract.py', 'generate_sync.py']) {
    execFileSync(prepared.python, [join(project, 'tools', tool)], { stdio: 'inherit' });
  }
}
