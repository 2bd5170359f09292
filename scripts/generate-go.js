/** Generates the Go module in gen/go from the contract. Without Go, says so and changes nothing. */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
if (spawnSync('go', ['version']).status !== 0) {
  console.error('gen/go was not generated: Go is not installed');
} else {
  execFileSync('buf', ['generate', '--template', 'gen/go/buf.gen.yaml'], { cwd: root, stdio: 'inherit' });
}
