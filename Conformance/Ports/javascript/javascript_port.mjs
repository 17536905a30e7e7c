#!/usr/bin/env node
// S2-Attn in JavaScript behind the port protocol: copy this file, put your own implementation into `forward`, and run
//
//     s2attn check --port "node javascript_port.mjs"
//
// Numbers are doubles and are rounded once at the end. Needs Node 18 or newer and no package.
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

// ---- The attention: replace this by yours. -----------------------------------------------------------------------------------------------

/** May query t see key u, in a head that shifts by `shift` (0 for a head that does not)? */
function visible({ tokens, groupSize, mask }, shift, t, u) {
  const ring = Math.ceil(tokens / groupSize) * groupSize; // N, rounded up to whole groups
  const position = (token) => (token - shift + ring) % ring; // where a token stands after the roll by -shift
  const group = (token) => Math.floor(position(token) / groupSize);
  const sameRun = t >= shift === u >= shift; // false between a token that the roll wrapped and one that it did not
  if (group(t) !== group(u)) return false;
  switch (mask) {
    case "LocalCausal": return position(u) <= position(t);
    case "Split": return sameRun && u <= t;
    case "PositionCausal": return u <= t;
    case "Bidirectional": return true;
    case "BidirectionalSplit": return sameRun;
    default: throw new Error(`unknown mask ${mask}`);
  }
}

/** Does this QUERY head shift? For an odd number of heads the second half is the larger one. */
function isShifted({ shiftedHeads, heads }, h) {
  if (Array.isArray(shiftedHeads)) return shiftedHeads[h];
  return shiftedHeads === "All" || (shiftedHeads === "SecondHalf" && h >= Math.floor(heads / 2));
}

/** o [B,N,H,D] and lse [B,N,H] from q [B,N,H,D], k and v [B,N,K,D], valid [B,N]. */
function forward(config, { q, k, v, valid }) {
  const { batch, tokens, heads, kvHeads, headDim, scale } = config;
  const o = new Float64Array(batch * tokens * heads * headDim); // a row that sees no key stays 0 ...
  const lse = new Float64Array(batch * tokens * heads).fill(-Infinity); // ... and has logsumexp -infinity
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < heads; h++) {
      const shift = isShifted(config, h) ? config.shift : 0;
      const kv = Math.floor(h / (heads / kvHeads)); // query head h reads kv head h / (H / K)
      for (let t = 0; t < tokens; t++) {
        const row = (b * tokens + t) * heads + h;
        const keys = [], scores = [];
        for (let u = 0; u < tokens; u++)
          if ((!valid || valid[b * tokens + u]) && visible(config, shift, t, u)) {
            const key = ((b * tokens + u) * kvHeads + kv) * headDim;
            let dot = 0;
            for (let d = 0; d < headDim; d++) dot += q[row * headDim + d] * k[key + d];
            keys.push(key);
            scores.push(scale * dot);
          }
        if (keys.length === 0) continue;
        const top = scores.reduce((a, b) => Math.max(a, b)); // taken off first so that exp cannot overflow
        const weights = scores.map((score) => Math.exp(score - top));
        const total = weights.reduce((a, b) => a + b);
        lse[row] = top + Math.log(total);
        keys.forEach((key, i) => {
          for (let d = 0; d < headDim; d++) o[row * headDim + d] += (weights[i] / total) * v[key + d];
        });
      }
    }
  return { o: [[batch, tokens, heads, headDim], o], lse: [[batch, tokens, heads], lse] };
}

const capabilities = { // claim what you have: what is left out here is not tested
  ops: ["forward"],
  dtypes: ["f32", "f64"],
  masks: ["LocalCausal", "Split", "PositionCausal", "Bidirectional", "BidirectionalSplit"],
  gqa: true, padding: true, oddGroup: true, ragged: true, maxTokens: 1024,
};

// ---- .safetensors: 8 bytes of header length, a JSON header, the tensors. -----------------------------------------------------------------

const arrayTypes = { F64: Float64Array, F32: Float32Array, U8: Uint8Array };

function readTensors(path) {
  const file = readFileSync(path);
  const start = 8 + Number(file.readBigUInt64LE(0));
  const tensors = {};
  for (const [name, entry] of Object.entries(JSON.parse(file.toString("utf8", 8, start)))) {
    if (name === "__metadata__") continue;
    const [begin, end] = entry.data_offsets;
    const bytes = Uint8Array.from(file.subarray(start + begin, start + end)); // a copy, because typed arrays must be aligned
    tensors[name] = new arrayTypes[entry.dtype](bytes.buffer);
  }
  return tensors;
}

function writeTensors(path, tensors) {
  const header = {}, parts = [];
  let offset = 0;
  for (const [name, [dtype, shape, values]] of Object.entries(tensors)) {
    const bytes = Buffer.from(arrayTypes[dtype].from(values).buffer);
    header[name] = { dtype, shape, data_offsets: [offset, (offset += bytes.length)] };
    parts.push(bytes);
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text, ...parts]));
}

// ---- The protocol: one JSON object a line, in and out. Print nothing else on stdout; stderr is yours. ------------------------------------

function answer({ op, inputs, outputs, config }) {
  if (op === "describe") return { ok: true, name: "javascript-rows", version: "1.0", language: "javascript", capabilities };
  if (!capabilities.ops.includes(op)) return { ok: false, unsupported: `op ${op}` };
  const dtype = config.dtype.toUpperCase();
  const results = Object.entries(forward(config, readTensors(inputs)));
  writeTensors(outputs, Object.fromEntries(results.map(([name, [shape, values]]) => [name, [dtype, shape, values]])));
  return { ok: true };
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  if (request.op === "shutdown") break;
  let reply;
  try {
    reply = answer(request);
  } catch (error) { // report it: the suite shows the message beside the case
    reply = { ok: false, error: String(error) };
  }
  process.stdout.write(JSON.stringify({ id: request.id, ...reply }) + "\n");
}
process.exit(0);
