#!/usr/bin/env python3
"""The peer's speed, through its own library: peer.py MODEL [--threads N] [--flash] [--prefill N] [--decode N] [--depth N]
[--batch N] [--first-token]. Prints one JSON object of tokens per second.

llama.cpp as the Python package llama_cpp builds it (PEER_PYTHON of bench/versus names the Python that has it). Only
llama_decode is timed, with what llama-bench times: prefill asks for the last logits, decode feeds arbitrary tokens one
by one, a batch steps all its sequences at once. --first-token: seconds from before the load to the first logits of a
prompt of 16 tokens; starting Python and loading the library are not counted, in the peer's favour.
"""
import argparse
import ctypes
import json
import time

import llama_cpp as lc


def quiet(level, text, user):
    pass


class Peer:
    def __init__(self, a):
        self.log = lc.llama_log_callback(quiet)
        lc.llama_log_set(self.log, ctypes.c_void_p(0))
        lc.llama_backend_init()
        self.began = time.perf_counter()
        self.model = lc.llama_model_load_from_file(a.model.encode(), lc.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"{a.model}: the peer cannot load it")
        p = lc.llama_context_default_params()
        sequences = max(1, a.batch)
        need = max(a.depth + max(a.prefill, a.decode + 2), (16 + a.decode + 2) * sequences)
        p.n_ctx = (need + 255) // 256 * 256
        p.n_batch = 2048
        p.n_seq_max = sequences
        p.kv_unified = True
        p.n_threads = p.n_threads_batch = a.threads
        p.flash_attn_type = 1 if a.flash else 0
        self.ctx = lc.llama_init_from_model(self.model, p)
        if not self.ctx:
            raise SystemExit("the peer cannot open a context")
        self.memory = lc.llama_get_memory(self.ctx)
        self.n_vocab = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(self.model))
        self.batch = lc.llama_batch_init(2048, 0, 1)

    def decode(self, rows):
        """rows: (token, position, sequence, wants logits)"""
        b = self.batch
        b.n_tokens = len(rows)
        for i, (token, pos, seq, logits) in enumerate(rows):
            b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = token % self.n_vocab, pos, 1, logits
            b.seq_id[i][0] = seq
        start = time.perf_counter()
        if lc.llama_decode(self.ctx, b):
            raise SystemExit("llama_decode failed")
        lc.llama_synchronize(self.ctx)
        return time.perf_counter() - start

    def feed(self, begin, n):
        seconds = 0.0
        for i in range(begin, begin + n, 2048):
            end = min(i + 2048, begin + n)
            seconds += self.decode([(7919 * k + 13, k, 0, k == begin + n - 1) for k in range(i, end)])
        return seconds

    def cut(self, depth):
        lc.llama_memory_seq_rm(self.memory, 0, depth, -1)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model")
    for name, default in (("threads", 2), ("prefill", 512), ("decode", 32), ("depth", 0), ("batch", 0)):
        p.add_argument("--" + name, type=int, default=default)
    p.add_argument("--flash", action="store_true")
    p.add_argument("--first-token", action="store_true")
    a = p.parse_args()
    peer = Peer(a)
    out = {}
    if a.first_token:
        peer.feed(0, 16)
        out["first_token_s"] = time.perf_counter() - peer.began
    elif a.batch:
        for pos in range(17):
            peer.decode([(31 * s + pos, pos, s, 1) for s in range(a.batch)])
        seconds = sum(peer.decode([(31 * s + pos, pos, s, 1) for s in range(a.batch)]) for pos in range(17, 17 + a.decode))
        out["batch"] = a.batch * a.decode / seconds
    else:
        if a.prefill:
            peer.feed(0, min(a.prefill, 64))  # warm
            peer.cut(0)
        if a.depth:
            peer.feed(0, a.depth)
        if a.prefill:
            out["prefill"] = a.prefill / peer.feed(a.depth, a.prefill)
            peer.cut(a.depth)
        if a.decode:
            peer.decode([(17, a.depth, 0, 1)])
            seconds = sum(peer.decode([(31 * i + 5, a.depth + 1 + i, 0, 1)]) for i in range(a.decode))
            out["decode"] = a.decode / seconds
    print(json.dumps(out))


if __name__ == "__main__":
    main()
