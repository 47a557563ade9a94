// How a driver in JavaScript tries a client: as trial.py does, with the same words and the same line of JSON.
// Run in a project that has the client installed, as: node driver.mjs host port user password

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const [host, port, user, password] = process.argv.slice(2);
export const server = { host, port: Number(port), user, password };

const trials = [];

export function trial(name, run) {
  trials.push([name, run]);
}

export function same(found, wanted) {
  assert.deepEqual(plain(found), plain(wanted));
}

export async function refused(work, code) {
  try {
    await work();
  } catch (error) {
    assert.ok(String(error).includes(`[${code}`), `no code in: ${error}`);
    assert.ok(!String(error).includes("Traceback"));
    return;
  }
  throw new Error("it did not fail");
}

export async function fails(work) {
  try {
    await work();
  } catch {
    return;
  }
  throw new Error("it did not fail");
}

const late = () =>
  new Promise((_, reject) => setTimeout(() => reject(new Error("no answer within 20 s")), 20_000).unref());

// Arrow's rows and vectors as plain values, whole numbers of any width as one kind.
export function plain(value) {
  if (typeof value === "bigint") return Number(value);
  if (value === null || typeof value !== "object") return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("latin1");
  if (value instanceof Date) return value.getTime();
  if (typeof value.toJSON === "function") return plain(value.toJSON());
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return Array.from(value, plain);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
}

export async function main(name) {
  const described = new URL(`./node_modules/${name}/package.json`, import.meta.url);
  const { version } = JSON.parse(readFileSync(described));
  const results = {};
  for (const [what, run] of trials) {
    try {
      await Promise.race([run(), late()]);
      results[what] = "yes";
    } catch (error) {
      console.error(error);
      results[what] = `${error.name}: ${error.message}`.split(/\s+/).join(" ").slice(0, 300);
    }
  }
  console.log(JSON.stringify({ version, results }));
  process.exit(0);
}
