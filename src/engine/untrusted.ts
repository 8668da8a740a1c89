/** Untrusted values in messages. The functions are in a layer of their own, because all layers need them. */

export {
  byteSize,
  excerpt,
  MAX_SHOWN,
  plainNumber,
  quoted,
  shown,
  visible,
  visibleLines,
  waitingTime,
} from "../text/untrusted";
