/**
 * Where things lie in the memory that the kernel scans. A record of a vector is its direction in
 * bytes, what a step of them is worth, and how far they are off: a quarter of the vector itself, and
 * what a scan of many vectors takes is the time that memory needs to give them.
 */
import { embeddingLength } from '../types.ts';

/** Most vectors of one call: 0.3 ms from the cache, after which others may have the thread. */
export const sliceLength = 8_192;

/** The query as 16-bit numbers, at the start of the memory. */
export const queryBytes = embeddingLength * 2;
/** Of a vector that may be near: its slot (u32), four bytes of nothing, an upper bound of its cosine (f64). */
export const foundAt = queryBytes;
export const foundBytes = 16;

/** One byte a component, the step (f32), the residual (f32), the length of the vector (f64). */
export const recordBytes = embeddingLength + 16;
export const stepAt = embeddingLength;
export const residualAt = embeddingLength + 4;
export const normAt = embeddingLength + 8;

export const pageBytes = 65_536;
/** Records begin at a page of their own. */
export const recordsAt = Math.ceil((foundAt + foundBytes * sliceLength) / pageBytes) * pageBytes;

/** 4 GiB is all that a memory of 32-bit addresses holds: 15.8 million vectors. */
export const mostPages = 65_536;
export const mostVectors = Math.floor((mostPages * pageBytes - recordsAt) / recordBytes);
