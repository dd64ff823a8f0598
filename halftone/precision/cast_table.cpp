#include "halftone/precision/cast_table.h"

#include <set>

namespace halftone {
namespace {

struct Group {
  Cast cast;
  CastDevices devices;
  std::vector<const char*> operations;
};

const std::vector<Group>& groups() {
  static const std::vector<Group> kGroups = {
      // Products of matrices: half operands, fp32 accumulation inside.
      {Cast::lower,
       CastDevices::both,
       {"_convolution.deprecated",
        "_convolution",
        "conv1d",
        "conv1d.padding",
        "conv2d",
        "conv2d.padding",
        "conv3d",
        "conv3d.padding",
        "conv_tbc",
        "conv_transpose1d",
        "conv_transpose2d.input",
        "conv_transpose3d.input",
        "convolution",
        "prelu",
        "addmm",
        "_addmm_activation",
        "addmv",
        "addr",
        "matmul",
        "einsum",
        "mm",
        "mv",
        "linalg_vecdot",
        "linear",
        "addbmm",
        "baddbmm",
        "bmm",
        "chain_matmul",
        "linalg_multi_dot",
        "_thnn_fused_lstm_cell",
        "_thnn_fused_gru_cell",
        "lstm_cell",
        "gru_cell",
        "rnn_tanh_cell",
        "rnn_relu_cell",
        "_scaled_dot_product_flash_attention",
        "scaled_dot_product_attention",
        "_native_multi_head_attention"}},
      {Cast::lower, CastDevices::cuda, {"cudnn_convolution", "cudnn_convolution_transpose"}},
      // As a whole: the choice among LibTorch's CPU kernels is then made for the half format.
      {Cast::lower,
       CastDevices::cpu,
       {"lstm.input", "lstm.data", "gru.input", "gru.data", "rnn_tanh.input", "rnn_tanh.data",
        "rnn_relu.input", "rnn_relu.data", "mkldnn_rnn_layer"}},
      // It packs the cast weights into cuDNN's one buffer.
      {Cast::stock, CastDevices::cuda, {"_cudnn_rnn"}},
      // Overflow or cancel in half: exponentials, powers, reciprocals.
      {Cast::fp32,
       CastDevices::both,
       {"acos", "asin", "cosh", "erfinv", "exp", "expm1", "log", "log10", "log2", "log1p",
        "reciprocal", "rsqrt", "sinh", "tan", "pow.Tensor_Scalar", "pow.Tensor_Tensor",
        "pow.Scalar", "softplus", "logsumexp"}},
      // Statistics and norms.
      {Cast::fp32,
       CastDevices::both,
       {"layer_norm",
        "native_layer_norm",
        "rms_norm",
        "group_norm",
        "norm.Scalar",
        "norm.ScalarOpt_dim",
        "norm.names_ScalarOpt_dim",
        "frobenius_norm.dim",
        "nuclear_norm",
        "nuclear_norm.dim",
        "dist",
        "pdist",
        "cdist",
        "renorm",
        "cosine_similarity",
        "trace",
        "quantile",
        "quantile.scalar",
        "nanquantile",
        "nanquantile.scalar"}},
      // Losses; binary_cross_entropy too, which LibTorch forbids on CUDA.
      {Cast::fp32,
       CastDevices::both,
       {"binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "cosine_embedding_loss",
        "ctc_loss.IntList",
        "ctc_loss.Tensor",
        "hinge_embedding_loss",
        "huber_loss",
        "kl_div",
        "l1_loss",
        "margin_ranking_loss",
        "mse_loss",
        "multi_margin_loss",
        "multilabel_margin_loss",
        "multilabel_margin_loss_forward",
        "nll_loss",
        "nll_loss2d",
        "poisson_nll_loss",
        "smooth_l1_loss",
        "soft_margin_loss",
        "triplet_margin_loss"}},
      {Cast::fp32_loss, CastDevices::both, {"cross_entropy_loss"}},
      // Geometry, and what has no half kernel on one of the devices.
      {Cast::fp32,
       CastDevices::both,
       {"upsample_nearest1d",
        "_upsample_nearest_exact1d",
        "upsample_nearest2d",
        "_upsample_nearest_exact2d",
        "upsample_nearest3d",
        "_upsample_nearest_exact3d",
        "upsample_linear1d",
        "upsample_bilinear2d",
        "_upsample_bilinear2d_aa",
        "upsample_trilinear3d",
        "upsample_bicubic2d",
        "_upsample_bicubic2d_aa",
        "grid_sampler",
        "grid_sampler_2d",
        "_grid_sampler_2d_cpu_fallback",
        "grid_sampler_3d",
        "avg_pool3d",
        "max_pool3d",
        "adaptive_avg_pool3d",
        "adaptive_max_pool3d",
        "fractional_max_pool2d",
        "fractional_max_pool3d",
        "max_unpool2d",
        "max_unpool3d",
        "reflection_pad1d",
        "reflection_pad2d",
        "replication_pad1d",
        "replication_pad2d",
        "replication_pad3d",
        "fake_quantize_per_tensor_affine",
        "polar",
        "view_as_complex",
        "stft",
        "stft.center",
        "fft_fft",
        "fft_ifft",
        "fft_fft2",
        "fft_ifft2",
        "fft_fftn",
        "fft_ifftn",
        "fft_rfft",
        "fft_irfft",
        "fft_rfft2",
        "fft_irfft2",
        "fft_rfftn",
        "fft_irfftn",
        "fft_hfft",
        "fft_ihfft"}},
      // Linear algebra: no half kernels.
      {Cast::fp32,
       CastDevices::both,
       {"_lu_with_info",
        "cholesky",
        "cholesky_inverse",
        "cholesky_solve",
        "geqrf",
        "inverse",
        "linalg_cholesky",
        "linalg_cholesky_ex",
        "linalg_cond",
        "linalg_cond.p_str",
        "linalg_eig",
        "linalg_eigh",
        "linalg_eigvals",
        "linalg_eigvalsh",
        "linalg_householder_product",
        "linalg_inv",
        "linalg_inv_ex",
        "linalg_lstsq",
        "linalg_matrix_rank",
        "linalg_matrix_rank.atol_rtol_float",
        "linalg_matrix_rank.atol_rtol_tensor",
        "linalg_matrix_rank.tol_tensor",
        "linalg_matrix_sqrth",
        "linalg_qr",
        "linalg_solve",
        "linalg_svd",
        "linalg_svdvals",
        "linalg_tensorinv",
        "linalg_tensorsolve",
        "lu_solve",
        "orgqr",
        "ormqr",
        "pinverse",
        "qr",
        "svd",
        "triangular_solve"}},
      // Sums and products of many terms.
      {Cast::fp32_dtype,
       CastDevices::both,
       {"softmax.int", "softmax.Dimname", "log_softmax.int", "log_softmax.Dimname", "sum",
        "sum.dim_IntList", "sum.dim_DimnameList", "prod", "prod.dim_int", "prod.dim_Dimname",
        "cumsum", "cumsum.dimname", "cumprod", "cumprod.dimname", "linalg_vector_norm",
        "linalg_matrix_norm", "linalg_matrix_norm.str_ord"}},
      // Several tensors that must have one format.
      {Cast::widest,
       CastDevices::both,
       {"addcdiv", "addcmul", "atan2", "bilinear", "cat", "cross", "dot", "index_copy",
        "index_copy.dimname", "index_put", "scatter_add", "stack", "tensordot", "vdot"}},
      // Reached by a policy's exceptions alone.
      {Cast::as_is,
       CastDevices::both,
       {"batch_norm",
        "instance_norm",
        "embedding",
        "embedding_bag",
        "mean",
        "mean.dim",
        "var.correction",
        "std.correction",
        "relu",
        "relu6",
        "leaky_relu",
        "elu",
        "selu",
        "celu",
        "gelu",
        "silu",
        "mish",
        "glu",
        "sigmoid",
        "log_sigmoid",
        "tanh",
        "hardtanh",
        "hardswish",
        "hardsigmoid",
        "erf",
        "sqrt",
        "square",
        "add.Tensor",
        "sub.Tensor",
        "mul.Tensor",
        "div.Tensor",
        "avg_pool1d",
        "avg_pool2d",
        "adaptive_avg_pool1d",
        "adaptive_avg_pool2d",
        "max_pool1d",
        "max_pool2d",
        "dropout"}},
  };
  return kGroups;
}

}  // namespace

const std::vector<CastRow>& cast_table() {
  static const std::vector<CastRow> kTable = [] {
    std::vector<CastRow> table;
    for (const Group& group : groups()) {
      for (const char* operation : group.operations) {
        table.push_back({operation, group.cast, group.devices});
      }
    }
    return table;
  }();
  return kTable;
}

std::string operation_name(const CastRow& row) {
  return row.operation.substr(0, row.operation.find('.'));
}

bool is_lowered(const std::string& operation) {
  static const std::set<std::string> kNames = [] {
    std::set<std::string> names;
    for (const CastRow& row : cast_table()) {
      if (row.cast == Cast::lower) names.insert(operation_name(row));
    }
    return names;
  }();
  return kNames.contains(operation);
}

}  // namespace halftone
