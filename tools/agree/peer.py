"""peer.py: llama.cpp through its Python binding: logits of every position, in full precision. Used by record.py."""
import ctypes

import numpy as np
import llama_cpp


class Peer:
    """A model in llama.cpp. Keys and values in F32, no flash attention: its most exact settings."""

    def __init__(self, path, n_ctx, threads=2, vocab_only=False):
        llama_cpp.llama_log_set(Peer._silent, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = vocab_only
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self.model:
            raise RuntimeError(f"{path}: llama.cpp cannot load it")
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.n_vocab = llama_cpp.llama_vocab_n_tokens(self.vocab)
        self.n_ctx, self.threads = n_ctx, threads

    @staticmethod
    @llama_cpp.llama_log_callback
    def _silent(level, text, user):
        pass

    def tokenize(self, text, bos):
        data = text.encode()
        out = (llama_cpp.llama_token * (len(data) + 8))()
        n = llama_cpp.llama_tokenize(self.vocab, data, len(data), out, len(out), bos, False)
        return list(out[:n])

    def logits(self, tokens, each, batch=256):
        """Calls each(position, logits as float32 array) for every position in order."""
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = self.n_ctx, batch, batch
        params.n_threads = params.n_threads_batch = self.threads
        params.type_k = params.type_v = llama_cpp.GGML_TYPE_F32
        params.flash_attn_type = 0
        context = llama_cpp.llama_init_from_model(self.model, params)
        if not context:
            raise RuntimeError("llama.cpp: no context")
        try:
            for start in range(0, len(tokens), batch):
                part = tokens[start:start + batch]
                b = llama_cpp.llama_batch_init(len(part), 0, 1)
                b.n_tokens = len(part)
                for i, token in enumerate(part):
                    b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = token, start + i, 1, 1
                    b.seq_id[i][0] = 0
                rc = llama_cpp.llama_decode(context, b)
                if rc:
                    raise RuntimeError(f"llama_decode: {rc}")
                for i in range(len(part)):
                    row = llama_cpp.llama_get_logits_ith(context, i)
                    each(start + i, np.ctypeslib.as_array(row, (self.n_vocab,)).copy())
                llama_cpp.llama_batch_free(b)
        finally:
            llama_cpp.llama_free(context)

    def all_logits(self, tokens, batch=256):
        rows = []
        self.logits(tokens, lambda i, x: rows.append(x), batch)
        return np.stack(rows)

    def close(self):
        llama_cpp.llama_model_free(self.model)


def version():
    return f"llama-cpp-python {llama_cpp.__version__}"
