# What is installed: the shared library, the public headers (this list and no other), the package.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(public_headers
  halftone/base/box.h
  halftone/base/error.h
  halftone/base/export.h
  halftone/base/file.h
  halftone/base/isa.h
  halftone/base/json.h
  halftone/base/log.h
  halftone/base/trim.h
  halftone/data/augmentation.h
  halftone/data/batch.h
  halftone/data/batch_builder.h
  halftone/data/batch_source.h
  halftone/data/box_batches.h
  halftone/data/dataset.h
  halftone/data/environment.h
  halftone/data/episodes.h
  halftone/data/image_batches.h
  halftone/data/image_cache.h
  halftone/data/interactions.h
  halftone/data/loader.h
  halftone/data/mask_batches.h
  halftone/data/pair_batches.h
  halftone/data/photo_batches.h
  halftone/data/random.h
  halftone/data/replay.h
  halftone/data/span_windows.h
  halftone/data/text_batches.h
  halftone/data/token_windows.h
  halftone/data/utf8.h
  halftone/data/vocabulary.h
  halftone/data/window.h
  halftone/halftone.h
  halftone/metrics/answer_scores.h
  halftone/metrics/binary_scores.h
  halftone/metrics/bleu.h
  halftone/metrics/box_scores.h
  halftone/metrics/confusion.h
  halftone/metrics/frechet.h
  halftone/metrics/latency.h
  halftone/metrics/metric.h
  halftone/metrics/peak_rss.h
  halftone/metrics/ranking.h
  halftone/metrics/running_loss.h
  halftone/metrics/throughput.h
  halftone/metrics/top_k.h
  halftone/models/beam_search.h
  halftone/models/block_network.h
  halftone/models/control.h
  halftone/models/dcgan.h
  halftone/models/encoder.h
  halftone/models/fcos.h
  halftone/models/fcos_loss.h
  halftone/models/gpt.h
  halftone/models/network.h
  halftone/models/recommender.h
  halftone/models/text_cnn.h
  halftone/models/translator.h
  halftone/models/unet.h
  halftone/nn/adopted.h
  halftone/nn/attention.h
  halftone/nn/batch_norm.h
  halftone/nn/fuse.h
  halftone/nn/layers.h
  halftone/nn/prepack.h
  halftone/nn/recompute.h
  halftone/numerics/fault_report.h
  halftone/numerics/format_fit.h
  halftone/numerics/loss_trend.h
  halftone/numerics/range_report.h
  halftone/numerics/tensor_range.h
  halftone/ops/caching_allocator.h
  halftone/ops/enable.h
  halftone/ops/generator.h
  halftone/ops/memory.h
  halftone/ops/state_dict.h
  halftone/ops/state_reader.h
  halftone/optim/adam.h
  halftone/optim/adamw.h
  halftone/optim/clip.h
  halftone/optim/ema.h
  halftone/optim/group_options.h
  halftone/optim/init.h
  halftone/optim/lamb.h
  halftone/optim/lookahead.h
  halftone/optim/master_optimizer.h
  halftone/optim/param_groups.h
  halftone/optim/scheduler.h
  halftone/optim/scheduler_one_cycle.h
  halftone/optim/scheduler_plateau.h
  halftone/optim/scheduler_warm_up.h
  halftone/optim/sgd.h
  halftone/precision/apply.h
  halftone/precision/autocast.h
  halftone/precision/cast_table.h
  halftone/precision/format.h
  halftone/precision/parameter_names.h
  halftone/precision/policy.h
  halftone/precision/quantize.h
  halftone/precision/rounding.h
  halftone/scaling/grad_scaler.h
  halftone/scaling/loss_scale.h
  halftone/scaling/scaled_optimizer.h
  halftone/train/calibration_report.h
  halftone/train/callback.h
  halftone/train/callbacks.h
  halftone/train/checkpoint.h
  halftone/train/objective.h
  halftone/train/precision_switch.h
  halftone/train/safetensors.h
  halftone/train/signals.h
  halftone/train/tensorboard.h
  halftone/train/trainer.h
  halftone/train/weights.h)
target_sources(halftone PUBLIC
  FILE_SET public_headers TYPE HEADERS BASE_DIRS ${CMAKE_SOURCE_DIR}
  FILES ${public_headers})
install(FILES ${CMAKE_BINARY_DIR}/generated/halftone/version.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/halftone)

set_target_properties(halftone PROPERTIES INSTALL_RPATH "${TORCH_INSTALL_PREFIX}/lib")
install(TARGETS halftone EXPORT HalftoneTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  FILE_SET public_headers DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET halftone_cli)
  set_target_properties(halftone_cli PROPERTIES
    INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR};${TORCH_INSTALL_PREFIX}/lib")
  install(TARGETS halftone_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Halftone)
install(EXPORT HalftoneTargets NAMESPACE Halftone:: DESTINATION ${package_dir})
configure_package_config_file(cmake/HalftoneConfig.cmake.in
  ${CMAKE_BINARY_DIR}/HalftoneConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/HalftoneConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/HalftoneConfig.cmake ${CMAKE_SOURCE_DIR}/cmake/HalftoneTorch.cmake
  ${CMAKE_BINARY_DIR}/HalftoneConfigVersion.cmake DESTINATION ${package_dir})
