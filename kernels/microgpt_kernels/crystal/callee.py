"""How a function is compiled that only kernels use.

Numba optimises such a function by itself, makes machine code of it, then merges LLVM's code of it into each
function that calls it, and optimises all of that again. Here only the last is done.

Private names of Numba used here, the same from 0.61 to 0.68: `JITCodeLibrary` with `_optimize_final_module`,
`_finalize_final_module` and `_finalized`; `_dynfunc.make_function`.
"""

from numba._dynfunc import make_function
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering


class _ToBeMerged(JITCodeLibrary):
    """LLVM's code of a function, as it is merged into its callers."""

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _CalleeLowering(NativeLowering):
    _name = "callee_lowering"

    def run_pass(self, state):
        context = state.targetctx
        state.library = _ToBeMerged(context.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        description, environment = state.cr.fndesc, state.cr.env
        # without the address of a wrapper, since Python never calls it
        function = make_function(
            description.lookup_module(), description.qualname, "", 0, environment, (state.library,)
        )
        context.insert_user_function(function, description, [state.library])
        state.cr = state.cr._replace(cfunc=function)
        return True


class CalleeCompiler(CompilerBase):
    """Numba's compiler up to LLVM's code."""

    def define_pipelines(self):
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [
            (_CalleeLowering if each is NativeLowering else each, why) for each, why in pipeline.passes
        ]
        pipeline.finalize()
        return [pipeline]
